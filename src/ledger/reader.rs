//! Reads a whole ledger, for a replay that reaches beyond what the store remembers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Known, Look, Since, entry};
use crate::{
    kafka::{KafkaClient, KafkaFault, LogReader, Read, Stretch},
    pipeline::now_ms,
    store::{End, StoreKey},
};

/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(100);

/// A ledger as it was when it was read.
#[derive(Debug)]
pub(crate) struct Ledger {
    known: Known,
    /// Milliseconds since 1970: what was finished before, and is in the ledger at all, was read.
    read_at_ms: i64,
    /// By handler. It has all that one of these has finished since.
    since: BTreeMap<String, Since>,
    /// What was lost of it, if anything; a sentence for each handler.
    pub(crate) warnings: Vec<String>,
}

/// Why a ledger cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LedgerError {
    #[error("the ledger {0} does not exist: worker check --create makes it")]
    Missing(Arc<str>),
    #[error(
        "offset {offset} of partition {partition} of the ledger {topic} was written by another version, or by somebody else"
    )]
    Unreadable { topic: Arc<str>, partition: i32, offset: i64 },
    #[error("interrupted")]
    Interrupted,
    #[error("the ledger: {0}")]
    Kafka(#[from] KafkaFault),
}

/// The topic as it stands; `None` where there is none. Blocks while Kafka is asked.
pub(super) fn look(reader: &LogReader) -> Result<Option<Look>, KafkaFault> {
    let Some(partitions) = reader.partitions()? else { return Ok(None) };
    let mut gone = 0;
    for partition in &partitions {
        gone += reader.log(*partition)?.0;
    }
    Ok(Some(Look { topic_id: reader.topic_id(), partitions: partitions.len(), gone }))
}

impl Ledger {
    /// Reads all of it, to the end that it has now. `noted` is what workers have written down about the handlers.
    /// Blocks, so it must not run where async code does.
    pub(crate) fn read(
        client: &KafkaClient,
        group: &str,
        topic: &Arc<str>,
        noted: &BTreeMap<String, Since>,
        cancel: &CancellationToken,
    ) -> Result<Self, LedgerError> {
        let mut reader = LogReader::open(client, group, topic)?;
        // What is finished from now on may come too late for the end.
        let read_at_ms = now_ms();
        let look = look(&reader)?.ok_or_else(|| LedgerError::Missing(Arc::clone(topic)))?;
        let mut warnings = Vec::new();
        let since = noted.iter().map(|(handler, since)| {
            let (since, lost) = since.seen_again(read_at_ms, &look);
            warnings.extend(lost.map(|lost| describe_loss(topic, handler, lost)));
            (handler.clone(), since)
        });
        let since = since.collect();
        let mut stretches = Vec::new();
        for partition in reader.partitions()?.unwrap_or_default() {
            let (begin, end) = reader.log(partition)?;
            stretches.push(Stretch { partition, begin, end, log_end: end });
        }
        reader.begin(&stretches)?;
        let mut known = Known::default();
        while !reader.is_finished() {
            if cancel.is_cancelled() {
                return Err(LedgerError::Interrupted);
            }
            let Read::Record(record) = reader.read(LOOK)? else { continue };
            let (partition, offset) = (record.partition, record.offset);
            let read = entry::read(&record);
            let unreadable = |_| LedgerError::Unreadable { topic: Arc::clone(topic), partition, offset };
            if let Some((digest, end)) = read.map_err(unreadable)? {
                known.add(digest, end);
            }
        }
        known.finish();
        Ok(Self { known, read_at_ms, since, warnings })
    }

    /// How an event ended.
    pub(crate) fn find(&self, key: &StoreKey) -> Option<End> {
        self.known.find(key.digest())
    }

    /// How many events it knows.
    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether an event of this time that a handler has finished must be in here, unless it was finished after this was
    /// read. Times are milliseconds since 1970.
    pub(crate) fn has_all(&self, handler: &str, timestamp: Option<i64>) -> bool {
        self.since.get(handler).is_some_and(|since| since.covers(timestamp, self.read_at_ms))
    }

    /// Whether everything that was finished after this was read is in the store, which remembers all since then, in
    /// milliseconds since 1970.
    pub(crate) fn meets(&self, remembered_since: i64) -> bool {
        remembered_since <= self.read_at_ms
    }
}

pub(super) fn describe_loss(topic: &str, handler: &str, lost: &str) -> String {
    format!("the ledger {topic}: {lost}; what {handler} had finished before may be missing in it")
}
