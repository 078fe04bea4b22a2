//! Records as bytes: what a test sends, and what it finds in a topic.

use rdkafka::Message;
use rdkafka::message::BorrowedMessage;
use rdkafka::producer::FutureRecord;

use super::headers::{self, Header};

/// A record to send. Keys, values and headers' values may be null.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// Where to; by the key's hash when `None`.
    pub partition: Option<i32>,
    /// The key's bytes.
    pub key: Option<Vec<u8>>,
    /// The value's bytes; null is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In their order; a name may occur more than once, and need not be text.
    pub headers: Vec<Header>,
    /// Milliseconds since 1970; now when `None`.
    pub timestamp: Option<i64>,
}

impl Record {
    /// A record with a key and a value.
    pub fn new(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Record {
        Record { value: Some(value.as_ref().to_vec()), ..Record::tombstone(key) }
    }

    /// A record with a key and null for a value.
    pub fn tombstone(key: impl AsRef<[u8]>) -> Record {
        Record { key: Some(key.as_ref().to_vec()), ..Record::default() }
    }

    /// Without its key.
    pub fn keyless(self) -> Record {
        Record { key: None, ..self }
    }

    /// To one partition, whatever the key.
    pub fn to(self, partition: i32) -> Record {
        Record { partition: Some(partition), ..self }
    }

    /// Stamped with a time, in milliseconds since 1970. Kafka deletes by it: what is older than seven days is gone
    /// within seconds, unless the topic has `retention.ms=-1`.
    pub fn stamped(self, timestamp: i64) -> Record {
        Record { timestamp: Some(timestamp), ..self }
    }

    /// With one more header.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Record {
        self.headers.push((name.as_ref().to_vec(), Some(value.as_ref().to_vec())));
        self
    }

    /// With one more header whose value is null.
    pub fn null_header(mut self, name: impl AsRef<[u8]>) -> Record {
        self.headers.push((name.as_ref().to_vec(), None));
        self
    }

    pub(super) fn to_kafka<'a>(&'a self, topic: &'a str) -> FutureRecord<'a, [u8], [u8]> {
        let key = self.key.as_deref();
        let (partition, payload, timestamp) = (self.partition, self.value.as_deref(), self.timestamp);
        FutureRecord {
            topic,
            partition,
            payload,
            key,
            timestamp,
            headers: Some(headers::write(&self.headers)),
        }
    }
}

/// A record found in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// Where it was.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// The key's bytes, or null.
    pub key: Option<Vec<u8>>,
    /// The value's bytes, or null.
    pub value: Option<Vec<u8>>,
    /// In their order, values as bytes or null.
    pub headers: Vec<Header>,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
}

impl ReadRecord {
    pub(super) fn from_kafka(message: &BorrowedMessage<'_>) -> ReadRecord {
        ReadRecord {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers::read(message),
            timestamp: message.timestamp().to_millis(),
        }
    }

    /// The last header of this name as text; `None` where there is none or its value is null.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().rev().find(|(header, _)| header == name.as_bytes())?;
        value.as_ref().map(|value| String::from_utf8(value.clone()).expect("a header of text"))
    }

    /// The key as text.
    pub fn key_text(&self) -> String {
        String::from_utf8(self.key.clone().expect("a key")).expect("a key of text")
    }

    /// The value as text.
    pub fn value_text(&self) -> String {
        String::from_utf8(self.value.clone().expect("a value")).expect("a value of text")
    }
}
