//! Reads letters, and what has become of them. Blocks: not to be called where async code runs.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::{Drawer, Letter, Mark, Place, State, mark::Marks};
use crate::{
    Record,
    audit::AuditError,
    kafka::{KafkaClient, KafkaFault, LogReader, Read, Stretch},
    pipeline::sent_on::redrive_topic,
};

/// How long one look at Kafka waits.
const LOOK: Duration = Duration::from_millis(50);

/// Why letters cannot be read or dealt with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LettersError {
    /// What was asked for cannot be.
    #[error("{0}")]
    Order(String),
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaFault),
    #[error("{0}")]
    Audit(#[from] AuditError),
    #[error("interrupted")]
    Interrupted,
}

/// How many letters stand how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) open: u64,
    pub(crate) redriven: u64,
    pub(crate) discarded: u64,
    pub(crate) parked: u64,
    /// A later version has marked them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) other: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Counts {
    pub(crate) fn add(&mut self, state: State) {
        *match state {
            State::Open => &mut self.open,
            State::Redriven => &mut self.redriven,
            State::Discarded => &mut self.discarded,
            State::Parked => &mut self.parked,
            State::Other => &mut self.other,
        } += 1;
    }
}

/// Copies of letters that no worker has settled yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Waiting {
    pub(crate) topic: String,
    pub(crate) records: u64,
}

/// The marks of a drawer, as far as they were read.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) marks: Marks,
    read_to: BTreeMap<i32, i64>,
}

impl Drawer {
    /// What has become of the letters that lie there now.
    pub(super) fn ledger(
        &self,
        client: &KafkaClient,
        cancel: &CancellationToken,
    ) -> Result<Ledger, LettersError> {
        let letters = self.open(client, &self.letters)?;
        let mut ledger = Ledger { marks: Marks::of(letters.topic_id()), read_to: BTreeMap::new() };
        self.read_on(client, &mut ledger, cancel)?;
        Ok(ledger)
    }

    /// What was marked since.
    pub(super) fn read_on(
        &self,
        client: &KafkaClient,
        ledger: &mut Ledger,
        cancel: &CancellationToken,
    ) -> Result<(), LettersError> {
        let reader = self.open(client, &self.marks)?;
        let mut stretches = Vec::new();
        for partition in reader.partitions()?.unwrap_or_default() {
            let (begin, end) = reader.log(partition)?;
            let begin = ledger.read_to.insert(partition, end).unwrap_or(begin).max(begin);
            stretches.push(Stretch { partition, begin, end, log_end: end });
        }
        read_all(reader, &stretches, cancel, |record| {
            if let Some((place, mark)) = Mark::read(&record) {
                ledger.marks.add(place, mark);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Hands out the letters that lie there now, partition by partition in their order; only these where some are named.
    /// The answer is how many offsets there are to read, at most; nothing where there is no such topic.
    pub(super) fn stretches(
        &self,
        client: &KafkaClient,
        places: &BTreeSet<Place>,
    ) -> Result<Option<(LogReader, Vec<Stretch>)>, LettersError> {
        let reader = self.open(client, &self.letters)?;
        let Some(partitions) = reader.partitions()? else { return Ok(None) };
        let mut stretches = Vec::new();
        for partition in partitions {
            let (mut begin, log_end) = reader.log(partition)?;
            let mut end = log_end;
            if !places.is_empty() {
                let offsets =
                    || places.iter().filter(|place| place.partition == partition).map(|place| place.offset);
                let (Some(first), Some(last)) = (offsets().min(), offsets().max()) else { continue };
                (begin, end) = (begin.max(first), end.min(last.saturating_add(1)));
            }
            if begin < end {
                stretches.push(Stretch { partition, begin, end, log_end });
            }
        }
        Ok(Some((reader, stretches)))
    }

    /// Tells of every letter how it stands.
    pub(crate) fn look(
        &self,
        client: &KafkaClient,
        places: &BTreeSet<Place>,
        cancel: &CancellationToken,
        mut each: impl FnMut(Record, Letter, Option<&Mark>) -> ControlFlow<()>,
    ) -> Result<(), LettersError> {
        let Some((reader, stretches)) = self.stretches(client, places)? else { return Ok(()) };
        let ledger = self.ledger(client, cancel)?;
        read_all(reader, &stretches, cancel, |record| {
            let letter = Letter::read(&record, self.format);
            let mark = ledger.marks.get(letter.place);
            let is_meant = places.is_empty() || places.contains(&letter.place);
            Ok(if is_meant { each(record, letter, mark) } else { ControlFlow::Continue(()) })
        })
    }

    /// The record that a letter is about, where it still lies in its topic.
    pub(super) fn original(
        &self,
        client: &KafkaClient,
        letter: &Letter,
        topic: &str,
        cancel: &CancellationToken,
    ) -> Result<Option<Record>, LettersError> {
        let (Some(partition), Some(begin)) = (letter.told.partition, letter.told.offset) else {
            return Ok(None);
        };
        let reader = self.open(client, topic)?;
        if !reader.partitions()?.is_some_and(|partitions| partitions.contains(&partition)) {
            return Ok(None);
        }
        let (first, log_end) = reader.log(partition)?;
        if begin < first || log_end <= begin {
            return Ok(None);
        }
        let mut found = None;
        let stretch = Stretch { partition, begin, end: begin + 1, log_end };
        read_all(reader, &[stretch], cancel, |record| {
            found = Some(record);
            Ok(ControlFlow::Break(()))
        })?;
        // A topic that was made again has other records at the same places.
        let is_it = |record: &Record| {
            record.timestamp == letter.told.timestamp && (letter.key.is_none() || record.key == letter.key)
        };
        Ok(found.filter(is_it))
    }

    /// The copies that wait for the group's workers. Offsets would count the ends of transactions, too.
    pub(crate) fn waiting(
        &self,
        client: &KafkaClient,
        cancel: &CancellationToken,
    ) -> Result<Vec<Waiting>, LettersError> {
        let sources =
            self.targets.keys().filter(|topic| self.source.as_ref().is_none_or(|source| source == *topic));
        let mut waiting = Vec::new();
        for source in sources {
            let topic = redrive_topic(source, &self.group);
            let reader = self.open(client, &topic)?;
            let Some(partitions) = reader.partitions()? else { continue };
            let committed = reader.committed(&partitions)?;
            let mut stretches = Vec::new();
            for partition in partitions {
                let (begin, end) = reader.log(partition)?;
                let begin = committed.get(&partition).copied().unwrap_or(begin).max(begin);
                stretches.push(Stretch { partition, begin, end, log_end: end });
            }
            let mut records = 0;
            read_all(reader, &stretches, cancel, |_| {
                records += 1;
                Ok(ControlFlow::Continue(()))
            })?;
            waiting.push(Waiting { topic, records });
        }
        Ok(waiting)
    }

    fn open(&self, client: &KafkaClient, topic: &str) -> Result<LogReader, KafkaFault> {
        LogReader::open(client, &self.group, &Arc::from(topic))
    }
}

/// Hands out every record until somebody has enough.
pub(super) fn read_all(
    mut reader: LogReader,
    stretches: &[Stretch],
    cancel: &CancellationToken,
    mut each: impl FnMut(Record) -> Result<ControlFlow<()>, LettersError>,
) -> Result<(), LettersError> {
    reader.begin(stretches)?;
    while !reader.is_finished() {
        if cancel.is_cancelled() {
            return Err(LettersError::Interrupted);
        }
        if let Read::Record(record) = reader.read(LOOK)?
            && each(record)?.is_break()
        {
            break;
        }
    }
    Ok(())
}
