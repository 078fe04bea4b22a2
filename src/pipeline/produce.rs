//! Records that the pipeline writes: dead letters and events out.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::Header;

/// Where records are written.
#[async_trait]
pub(crate) trait Producer: Send + Sync + fmt::Debug {
    /// Sends records and waits until the broker has acknowledged every one. They reach each of their partitions
    /// in this order. After an error some of them may be there.
    async fn send(&self, records: &[NewRecord]) -> Result<(), ProduceError>;
}

/// A record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewRecord {
    /// Physical name.
    pub(crate) topic: String,
    /// Where the topic has it; otherwise, and without one, the key decides.
    pub(crate) partition: Option<i32>,
    /// Milliseconds since 1970; without one, or where the topic does not take it, the time of writing.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Bytes>,
    pub(crate) value: Option<Bytes>,
    pub(crate) headers: Vec<Header>,
}

/// Why a record is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProduceError {
    /// The broker will never take a record of this size.
    #[error("too large: {0}")]
    TooLarge(String),
    /// It may take it later: a fault, nothing settles.
    #[error("{0}")]
    Fault(String),
}
