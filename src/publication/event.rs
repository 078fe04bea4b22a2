//! One event out, as its handler describes it.

use serde::Serialize;

use crate::{Classified, Encoder, Failure, Json};

/// An event for another topic, encoded. [`Context::publish`](crate::Context::publish) makes the usual one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    pub(super) topic: String,
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) content_type: &'static str,
    pub(super) name: Option<String>,
    pub(super) event_type: Option<String>,
}

impl Publication {
    /// `event` as JSON, for the topic of this logical name, under the record key `key`.
    ///
    /// # Errors
    /// The event cannot be written as JSON.
    pub fn json<E: Serialize>(
        topic: impl Into<String>,
        key: impl AsRef<[u8]>,
        event: &E,
    ) -> Result<Self, PublishError> {
        Self::encoded(&Json, topic, key, event)
    }

    /// `event` as `encoder` writes it.
    ///
    /// # Errors
    /// The event cannot be encoded.
    pub fn encoded<E, C: Encoder<E>>(
        encoder: &C,
        topic: impl Into<String>,
        key: impl AsRef<[u8]>,
        event: &E,
    ) -> Result<Self, PublishError> {
        let topic = topic.into();
        let value = encoder
            .encode(event)
            .map_err(|error| PublishError::Encode { topic: topic.clone(), error: error.to_string() })?;
        let content_type = encoder.content_type();
        Ok(Self { topic, key: key.as_ref().to_owned(), value, content_type, name: None, event_type: None })
    }

    /// What tells it from the other events out of the same event, `[a-z0-9_]+`, as a part of its id. Without a
    /// name that is its position, which must then be the same at every attempt.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// What is written to `ce_type`; the topic's logical name without it.
    #[must_use]
    pub fn event_type(mut self, event_type: impl Into<String>) -> Self {
        self.event_type = Some(event_type.into());
        self
    }
}

/// An event that cannot be published. No attempt can mend one of these, so each of them rejects the event that
/// was being handled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The worker looks at the topics it publishes to before it starts, so it has to know them.
    #[error("`{0}` is no topic that this service publishes to; add it with `Service::publishes`")]
    Undeclared(String),
    /// Events of one id are taken for one event.
    #[error("two events out of one event are named `{0}`; their names must differ")]
    SameName(String),
    /// The name is a part of the event's id.
    #[error("`{0}` cannot name an event out; allowed are a-z, 0-9 and _, beginning with a letter")]
    BadName(String),
    /// Not encoded.
    #[error("an event for `{topic}` cannot be encoded: {error}")]
    Encode {
        /// Where it should have gone.
        topic: String,
        /// Why not.
        error: String,
    },
    /// Nothing that comes later can be published with the rest.
    #[error("an event for `{0}` was published after its handler had returned")]
    TooLate(String),
    /// What the inbox had kept is not readable.
    #[error("the stored events cannot be read: {0}")]
    Stored(String),
}

#[diagnostic::do_not_recommend]
impl Classified for PublishError {
    fn classify(self) -> Failure {
        Failure::reject(self)
    }
}
