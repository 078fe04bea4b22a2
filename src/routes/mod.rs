//! Which handler runs for which record.

mod error;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crate::{
    Codec, Handler, Json,
    erased::{ErasedHandler, WithCodec},
};

pub use error::RouteError;
pub use table::Unknown;
pub(crate) use table::{TYPE_HEADER, Table};

/// Which handler runs for which record. A module returns its routes, a service merges them.
///
/// A topic has one handler for every record ([`on`](Self::on)), or one for each type of event
/// ([`on_type`](Self::on_type)).
#[derive(Default, Clone)]
pub struct Routes {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    topic: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Handler { event_type: Option<String>, handler: Arc<dyn ErasedHandler> },
    TypeHeader(String),
    Unknown(Unknown),
}

impl Routes {
    /// No routes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `handler` for every record of `topic`, decoded as JSON.
    #[must_use]
    pub fn on<H: Handler>(self, topic: impl Into<String>, handler: H) -> Self
    where
        Json: Codec<H::Event>,
    {
        self.on_with(topic, Json, handler)
    }

    /// Runs `handler` for every record of `topic`, decoded by `codec`.
    #[must_use]
    pub fn on_with<H: Handler, C: Codec<H::Event>>(
        self,
        topic: impl Into<String>,
        codec: C,
        handler: H,
    ) -> Self {
        let handler = Arc::new(WithCodec::new(handler, codec));
        self.add(topic, Kind::Handler { event_type: None, handler })
    }

    /// Runs `handler` for the records of `topic` whose header `ce_type` is `event_type`, decoded as JSON.
    /// [`type_header`](Self::type_header) names another header, [`unknown`](Self::unknown) says what becomes of
    /// other types.
    #[must_use]
    pub fn on_type<H: Handler>(
        self,
        topic: impl Into<String>,
        event_type: impl Into<String>,
        handler: H,
    ) -> Self
    where
        Json: Codec<H::Event>,
    {
        self.on_type_with(topic, event_type, Json, handler)
    }

    /// The same, decoded by `codec`.
    #[must_use]
    pub fn on_type_with<H: Handler, C: Codec<H::Event>>(
        self,
        topic: impl Into<String>,
        event_type: impl Into<String>,
        codec: C,
        handler: H,
    ) -> Self {
        let handler = Arc::new(WithCodec::new(handler, codec));
        self.add(topic, Kind::Handler { event_type: Some(event_type.into()), handler })
    }

    /// The header that names the type of a record of `topic`, where its handlers are told apart by type.
    #[must_use]
    pub fn type_header(self, topic: impl Into<String>, header: impl Into<String>) -> Self {
        self.add(topic, Kind::TypeHeader(header.into()))
    }

    /// What becomes of the records of `topic` whose type nobody takes: none of its [`on_type`](Self::on_type), or
    /// none that its codec knows ([`DecodeError::unknown_type`](crate::DecodeError::unknown_type)).
    #[must_use]
    pub fn unknown(self, topic: impl Into<String>, unknown: Unknown) -> Self {
        self.add(topic, Kind::Unknown(unknown))
    }

    /// Both tables as one.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.entries.extend(other.entries);
        self
    }

    /// The logical names of the topics to subscribe to: exactly those with a handler.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let topics: BTreeSet<&str> = self.iter().map(|(topic, _)| topic).collect();
        topics.into_iter()
    }

    /// The names of the handlers.
    pub fn handlers(&self) -> impl Iterator<Item = &'static str> {
        self.iter().map(|(_, handler)| handler.name())
    }

    /// Every registration that cannot stand, all at once.
    ///
    /// # Errors
    /// Topics, types and handler names registered twice, names that are not allowed, settings of topics that have
    /// no use for them, and an empty table.
    pub fn check(&self) -> Result<(), Vec<RouteError>> {
        let problems = error::problems(&self.entries);
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Every handler and its topic.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Arc<dyn ErasedHandler>)> {
        self.entries.iter().filter_map(|entry| match &entry.kind {
            Kind::Handler { handler, .. } => Some((entry.topic.as_str(), handler)),
            _ => None,
        })
    }

    /// Who handles the records of each topic, by its logical name. Only for routes that stand.
    pub(crate) fn tables(&self) -> BTreeMap<&str, Table<Arc<dyn ErasedHandler>>> {
        self.topics().map(|topic| (topic, self.table(topic))).collect()
    }

    fn table(&self, topic: &str) -> Table<Arc<dyn ErasedHandler>> {
        let mut table = Table::default();
        for entry in self.entries.iter().filter(|entry| entry.topic == topic) {
            match &entry.kind {
                Kind::Handler { event_type, handler } => {
                    table.insert(event_type.as_deref(), Arc::clone(handler));
                }
                Kind::TypeHeader(header) => table.header.clone_from(header),
                Kind::Unknown(unknown) => table.unknown = *unknown,
            }
        }
        table
    }

    fn add(mut self, topic: impl Into<String>, kind: Kind) -> Self {
        self.entries.push(Entry { topic: topic.into(), kind });
        self
    }
}

impl fmt::Debug for Routes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(topic, handler)| (topic, handler.name()))).finish()
    }
}

/// Service and handler names are parts of metric labels, keys and topic names.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests;
