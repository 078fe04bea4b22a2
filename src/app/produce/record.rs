//! What an application is asked for, what it makes, and how that looks in Kafka.

use crate::{
    Header,
    pipeline::NewRecord,
    telemetry::{TRACEPARENT, spans::Sending},
};

/// What is wanted of an application's sample events.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProduceRecipe {
    /// Records in all, at least 1.
    pub count: u64,
    /// Share of them that repeats an earlier event, 0 to 1.
    pub duplicates: f64,
    /// Share of them that no handler can use, 0 to 1. Together with `duplicates` at most 1.
    pub poison: f64,
    /// How many different record keys, at least 1; `None` leaves it to the application.
    pub keys: Option<u64>,
    /// Another seed gives other events.
    pub seed: u64,
}

/// One sample record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProduceRecord {
    /// The record's key.
    pub key: Vec<u8>,
    /// The encoded event, or what poses as one.
    pub value: Vec<u8>,
    /// What it is.
    pub kind: ProduceKind,
    /// The event's id and type, for its CloudEvents headers; without them it has none.
    pub event: Option<(String, &'static str)>,
}

/// What a sample record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProduceKind {
    /// A new event.
    Event,
    /// An earlier event again.
    Duplicate,
    /// No use to any handler.
    Poison,
}

/// A record, and what it is.
pub(super) struct Noted {
    pub(super) record: NewRecord,
    pub(super) note: Note,
}

/// What is to be known when it is acknowledged.
pub(super) struct Note {
    pub(super) kind: ProduceKind,
    /// Its span, where somebody records it.
    pub(super) sending: Option<Sending>,
}

impl Note {
    /// It is sent now.
    pub(super) fn sent(&mut self) -> Self {
        Self { kind: self.kind, sending: self.sending.take().map(Sending::begun_now) }
    }

    /// The broker has its record: what it was.
    pub(super) fn acknowledged(self) -> ProduceKind {
        self.sending.into_iter().for_each(Sending::acknowledged);
        self.kind
    }
}

impl ProduceRecord {
    /// As it goes to Kafka, each the root of a trace of its own.
    pub(super) fn into_new(self, topic: &str) -> Noted {
        let Self { key, value, kind, event } = self;
        let (trace, sending) = Sending::first(topic);
        let mut headers = vec![Header::text(TRACEPARENT, trace.to_header_value())];
        if let Some((id, event_type)) = event {
            headers.extend([
                Header::text("ce_specversion", "1.0"),
                Header::text("ce_id", id),
                Header::text("ce_source", "produce"),
                Header::text("ce_type", event_type),
                Header::text("content-type", "application/json"),
            ]);
        }
        let (key, value) = (Some(key.into()), Some(value.into()));
        let record =
            NewRecord { topic: topic.to_owned(), partition: None, timestamp: None, key, value, headers };
        Noted { record, note: Note { kind, sending } }
    }
}
