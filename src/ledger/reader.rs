//! Reads a whole ledger, for a replay that reaches beyond what the store remembers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{Known, Look, Said, Since, entry};
use crate::{
    kafka::{KafkaFault, LogReader, Read, Stretch},
    pipeline::now_ms,
    store::StoreKey,
};

/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(100);

/// A ledger as it was when it was read.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// By partition: each has its own order.
    known: BTreeMap<i32, Known>,
    /// Where each partition was read to.
    read_to: BTreeMap<i32, i64>,
    topic_id: Option<String>,
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
    let (mut gone, mut ends) = (0, 0);
    for partition in &partitions {
        let (begin, end) = reader.log(*partition)?;
        (gone, ends) = (gone + begin, ends + end);
    }
    Ok(Some(Look { topic_id: reader.topic_id(), partitions: partitions.len(), gone, ends }))
}

impl Ledger {
    /// Reads all of it, to the end that it has now, or what has come since `before`. `noted` is what workers have written
    /// down about the handlers; `told` hears how many offsets of how many are read. Blocks, so it must not run where
    /// async code does.
    pub(super) fn read(
        mut reader: LogReader,
        topic: &Arc<str>,
        noted: &BTreeMap<String, Since>,
        before: Option<Self>,
        cancel: &CancellationToken,
        mut told: impl FnMut(i64, i64),
    ) -> Result<Self, LedgerError> {
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
        // Of another topic under the same name nothing is known.
        let before = before.filter(|before| warnings.is_empty() && before.topic_id == look.topic_id);
        let (mut known, mut read_to) =
            before.map(|before| (before.known, before.read_to)).unwrap_or_default();
        let mut stretches = Vec::new();
        for partition in reader.partitions()?.unwrap_or_default() {
            let (begin, end) = reader.log(partition)?;
            let begin = read_to.insert(partition, end).unwrap_or(begin).max(begin);
            stretches.push(Stretch { partition, begin, end, log_end: end });
        }
        let all: i64 = stretches.iter().map(|stretch| (stretch.end - stretch.begin).max(0)).sum();
        reader.begin(&stretches)?;
        let mut done = 0;
        while !reader.is_finished() {
            if cancel.is_cancelled() {
                return Err(LedgerError::Interrupted);
            }
            let Read::Record(record) = reader.read(LOOK)? else { continue };
            let (partition, offset) = (record.partition, record.offset);
            let unreadable = |_| LedgerError::Unreadable { topic: Arc::clone(topic), partition, offset };
            let (digest, said) = entry::read(&record).map_err(unreadable)?;
            known.entry(partition).or_default().add(digest, said);
            done += 1;
            told(done, all);
        }
        known.values_mut().for_each(Known::finish);
        Ok(Self { known, read_to, topic_id: look.topic_id, read_at_ms, since, warnings })
    }

    /// The strongest of what is said of an event.
    pub(crate) fn find(&self, key: &StoreKey) -> Option<Said> {
        self.known.values().filter_map(|known| known.find(key.digest())).max()
    }

    /// How many events it knows.
    pub(crate) fn len(&self) -> usize {
        self.known.values().map(Known::len).sum()
    }

    /// Whether an event of this time that a handler has finished must be in here, unless it was finished after this was
    /// read. Times are milliseconds since 1970.
    pub(crate) fn has_all(&self, handler: &str, timestamp: Option<i64>) -> bool {
        self.since.get(handler).is_some_and(|since| since.covers(timestamp, self.read_at_ms))
    }

    /// Milliseconds since 1970: what was finished since may be missing.
    pub(crate) fn read_at_ms(&self) -> i64 {
        self.read_at_ms
    }
}

pub(super) fn describe_loss(topic: &str, handler: &str, lost: &str) -> String {
    format!("the ledger {topic}: {lost}; what {handler} had finished before may be missing in it")
}
