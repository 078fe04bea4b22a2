//! A ledger that is read when somebody needs it for the first time, and again when it has become too old.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{Ledger, Since, reader::LedgerError};
use crate::kafka::{KafkaClient, LogReader};

/// Between two sentences about how far it is read.
const TELL: Duration = Duration::from_secs(2);

/// Hears how far something is.
pub(crate) type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// The ledger of one group.
pub(crate) struct Book {
    pub(crate) client: KafkaClient,
    pub(crate) group: String,
    pub(crate) topic: Arc<str>,
    pub(crate) cancel: CancellationToken,
    pub(crate) tell: Tell,
    pub(crate) ledger: RwLock<Option<Ledger>>,
}

impl Book {
    /// Reads what has come since it was read. Blocks, so it must not run where async code does.
    pub(crate) fn read(&self, noted: &BTreeMap<String, Since>) -> Result<(), LedgerError> {
        let reader = LogReader::open(&self.client, &self.group, &self.topic)?;
        let before = self.ledger.write().unwrap_or_else(PoisonError::into_inner).take();
        let mut next = Instant::now() + TELL;
        let told = |done, all| {
            if Instant::now() >= next {
                next = Instant::now() + TELL;
                (self.tell)(format!("reading the ledger: {done} of {all} offsets"));
            }
        };
        let ledger = Ledger::read(reader, &self.topic, noted, before, &self.cancel, told)?;
        tracing::debug!(events = ledger.len(), "the ledger is read");
        *self.ledger.write().unwrap_or_else(PoisonError::into_inner) = Some(ledger);
        Ok(())
    }

    /// What it says, where it has been read.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Ledger) -> T) -> Option<T> {
        self.ledger.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(question)
    }
}

impl fmt::Debug for Book {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Book").field("group", &self.group).field("topic", &self.topic).finish_non_exhaustive()
    }
}
