//! What a test delivers.

use bytes::Bytes;
use serde::Serialize;

use super::Published;
use crate::{Header, Record};

/// A record to be delivered: a value, and whatever else a test cares about.
///
/// A text, a `serde_json::Value`, bytes and an event that another harness has seen [`Published`] are records as they
/// are; what can be serialized is one through [`json`](Self::json).
///
/// ```
/// # use oncewise::testing::TestRecord;
/// let record = TestRecord::from(r#"{"order_id":"o1"}"#).key("o1").header("tenant", "eu").partition(2);
/// ```
#[derive(Debug, Clone)]
pub struct TestRecord {
    pub(super) topic: Option<String>,
    pub(super) partition: i32,
    key: Option<Bytes>,
    value: Option<Bytes>,
    timestamp: Option<i64>,
    headers: Vec<Header>,
}

impl TestRecord {
    fn of(value: Option<Bytes>) -> Self {
        Self { topic: None, partition: 0, key: None, value, timestamp: None, headers: Vec::new() }
    }

    /// `event` as JSON.
    ///
    /// # Panics
    /// It has no such form, as a map whose keys are no texts.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn json(event: &impl Serialize) -> Self {
        serde_json::to_vec(event).expect("the event can be written as JSON").into()
    }

    /// A record without a value.
    #[must_use]
    pub fn tombstone() -> Self {
        Self::of(None)
    }

    /// The topic. Needed where a service reads several.
    #[must_use]
    pub fn topic(mut self, topic: impl Into<String>) -> Self {
        self.topic = Some(topic.into());
        self
    }

    /// The partition, 0 otherwise.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = partition;
        self
    }

    /// The record's key: records of one key are handled in order. None otherwise, and then they wait for nobody.
    #[must_use]
    pub fn key(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.key = Some(key.into().into());
        self
    }

    /// When it was written, in milliseconds since 1970; now otherwise.
    #[must_use]
    pub fn timestamp(mut self, millis: i64) -> Self {
        self.timestamp = Some(millis);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        self.headers.push(Header::text(name.into(), value.into()));
        self
    }

    /// What is delivered, at this time; its offset is not known yet.
    pub(super) fn at(self, topic: &str, now: i64) -> Record {
        let Self { partition, key, value, timestamp, headers, .. } = self;
        let timestamp = Some(timestamp.unwrap_or(now));
        Record { topic: topic.into(), partition, offset: 0, timestamp, key, value, headers }
    }
}

impl From<Vec<u8>> for TestRecord {
    fn from(value: Vec<u8>) -> Self {
        Self::of(Some(value.into()))
    }
}

impl From<&str> for TestRecord {
    fn from(value: &str) -> Self {
        value.as_bytes().to_vec().into()
    }
}

impl From<String> for TestRecord {
    fn from(value: String) -> Self {
        value.into_bytes().into()
    }
}

impl From<serde_json::Value> for TestRecord {
    fn from(value: serde_json::Value) -> Self {
        value.to_string().into()
    }
}

/// As the next service reads it.
impl From<Published> for TestRecord {
    fn from(published: Published) -> Self {
        let Record { topic, key, value, timestamp, headers, .. } = published.record;
        Self { topic: Some(topic.to_string()), partition: 0, key, value, timestamp, headers }
    }
}
