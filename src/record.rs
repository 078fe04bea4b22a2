//! What Kafka delivers.

use std::sync::Arc;

use bytes::Bytes;

use crate::telemetry::TraceContext;

/// One record, as it stands in the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Physical topic.
    pub topic: Arc<str>,
    /// Partition within the topic.
    pub partition: i32,
    /// Offset within the partition.
    pub offset: i64,
    /// Milliseconds since 1970, where the record has a time.
    pub timestamp: Option<i64>,
    /// The record's key; records of one key are handled in order.
    pub key: Option<Bytes>,
    /// The encoded event; `None` is a tombstone.
    pub value: Option<Bytes>,
    /// In the order they were written; names may repeat.
    pub headers: Vec<Header>,
}

/// One header. Kafka asks for UTF-8 names, but nothing enforces it, hence bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Name of the header.
    pub name: Bytes,
    /// Its value; null and empty differ.
    pub value: Option<Bytes>,
}

impl Header {
    /// A header with a text.
    pub fn text(name: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        Self { name: name.into(), value: Some(value.into()) }
    }
}

/// What the standard asks everybody to hand on at least; more would go on with every event out.
const MAX_TRACESTATE_BYTES: usize = 512;

impl Record {
    /// The last value of a header, as Kafka's clients read repeated names.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let header = self.headers.iter().rev().find(|header| header.name == name.as_bytes())?;
        header.value.as_deref()
    }

    /// The trace it belongs to, if its headers say.
    #[must_use]
    pub fn trace(&self) -> Option<TraceContext> {
        TraceContext::from_headers(self.headers.iter().map(|header| (&header.name, header.value.as_deref())))
    }

    /// What other tracing systems say about the trace; it means nothing without one.
    pub(crate) fn tracestate(&self) -> Option<String> {
        self.trace()?;
        let text = self.header("tracestate").filter(|text| text.len() <= MAX_TRACESTATE_BYTES)?;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }

    /// What the record weighs in memory, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers: usize =
            self.headers.iter().map(|header| header.name.len() + length(&header.value) + 64).sum();
        length(&self.key) + length(&self.value) + headers + 128
    }
}
