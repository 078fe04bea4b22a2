//! What a test finds in the topics that a service writes to.

use serde::de::DeserializeOwned;

use crate::{Record, pipeline::dead_letter::Disposition, telemetry::metrics::Label};

/// An event out, as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its id, `ce_id`: the same however often it is sent.
    pub id: String,
    /// The record.
    pub record: Record,
}

impl Published {
    /// The event, read as JSON.
    ///
    /// # Panics
    /// It is none, or of another shape.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn json<E: DeserializeOwned>(&self) -> E {
        let value = self.record.value.as_deref().unwrap_or_default();
        serde_json::from_slice(value).expect("the event that was published has this shape")
    }

    pub(super) fn read(record: &Record) -> Self {
        Self { id: text(record, "ce_id"), record: record.clone() }
    }
}

/// A dead letter, as the broker has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Why the record is there.
    pub disposition: Disposition,
    /// What the handler said last.
    pub error: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The record: the original, and headers that begin with `oncewise-`.
    pub record: Record,
}

impl Letter {
    /// `None` for what is no letter.
    pub(super) fn read(record: &Record) -> Option<Self> {
        let disposition = text(record, "oncewise-disposition");
        Some(Self {
            disposition: *Disposition::ALL.iter().find(|known| known.as_str() == disposition)?,
            error: text(record, "oncewise-error"),
            attempts: text(record, "oncewise-attempts").parse().unwrap_or(0),
            record: record.clone(),
        })
    }
}

fn text(record: &Record, header: &str) -> String {
    String::from_utf8_lossy(record.header(header).unwrap_or_default()).into_owned()
}
