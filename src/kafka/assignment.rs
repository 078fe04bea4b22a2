//! The partitions that this consumer has now: fed, paused, resumed and committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use rdkafka::{
    TopicPartitionList,
    consumer::Consumer,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    committing::note_of,
    group::GroupConsumer,
    positions::Position,
    seen::Oldest,
    stall::{Fetched, Sight, Stillness},
};
use crate::{
    evidence::Happened,
    pipeline::{Bounds, Partition},
    telemetry::PartitionMetrics,
};

/// Topic and partition.
pub(super) type Name = (Arc<str>, i32);

/// The partitions of one consumer.
#[derive(Debug, Default)]
pub(crate) struct Assignment {
    pub(super) running: BTreeMap<Name, Running>,
    /// Paused until their start is known, or decided by a person.
    pub(super) held: BTreeMap<Name, String>,
    /// Kafka does not know their topics when they are committed.
    pub(super) unknown: BTreeSet<Name>,
    /// No longer ours, with handlers that still run: the process waits for them before it ends.
    ending: Vec<Arc<Partition>>,
    /// When notes may be written again where nothing else is committed.
    pub(super) next_notes: Option<Instant>,
    /// The brokers take less metadata than notes need.
    pub(super) notes_refused: bool,
}

/// A partition at work.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) partition: Arc<Partition>,
    /// The last position handed over for committing, and when.
    pub(super) stored: Option<(i64, Instant)>,
    /// The last position that Kafka said it has.
    pub(super) acknowledged: Option<i64>,
    /// The note that was handed over with it, if that is certain.
    pub(super) noted: Option<String>,
    pub(super) beginning: Beginning,
    /// How many partitions its topic has.
    pub(super) topic_partitions: i32,
    /// The id of its topic, where the broker tells it.
    pub(super) topic_id: Option<String>,
    /// Nothing is fetched, for it may not begin yet.
    is_paused: bool,
    /// Kafka's client has said that what is next is not in the log, and fetches nothing any more.
    is_lost: bool,
    /// Its next record is not due yet.
    pub(super) waits: bool,
    /// The last error in the place of its next record.
    pub(super) trouble: Option<String>,
    pub(super) metrics: PartitionMetrics,
    /// What Kafka's client has told since it moved last.
    pub(super) fetched: Option<Fetched>,
    /// Where its log ended when Kafka's client told last.
    pub(super) end: Option<i64>,
    /// What the group had committed before this assignment.
    pub(super) committed_before: Option<i64>,
    pub(super) stillness: Stillness,
}

/// How far the beginning of a partition is known outside of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beginning {
    /// The store does not know yet how many partitions the topic has. Nothing is committed: partitions that are added
    /// later could not be told from those that were there.
    Unannounced,
    /// Kafka does not have it yet. Nothing is taken in: after a crash, work would begin elsewhere.
    Uncommitted,
    /// Kafka has it, the store does not, and it is new: nothing is taken in, or a loss would go unnoticed.
    Unremembered,
    /// Kafka has had it before this assignment; the store may not know it yet.
    Continued,
    /// Kafka and the store know it.
    Known,
}

/// What the store is to be told about a partition.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) beginning: Beginning,
    pub(super) topic_partitions: i32,
    pub(super) topic_id: Option<String>,
    pub(super) watermark: i64,
}

impl Beginning {
    /// What it is after the store was told.
    pub(super) fn told(self) -> Self {
        if self == Self::Unannounced { Self::Uncommitted } else { Self::Known }
    }
}

impl Running {
    /// A paused partition that is resumed when it may begin.
    pub(super) fn new(partition: Arc<Partition>, metrics: PartitionMetrics, position: &Position) -> Self {
        let beginning = if position.is_committed { Beginning::Continued } else { Beginning::Unannounced };
        let (topic_partitions, topic_id) = (position.partitions, position.topic_id.clone());
        let committed_before = position.is_committed.then(|| partition.watermark());
        Self {
            partition,
            stored: None,
            acknowledged: None,
            noted: None,
            beginning,
            topic_partitions,
            topic_id,
            is_paused: true,
            is_lost: false,
            waits: false,
            trouble: None,
            metrics,
            fetched: None,
            end: None,
            committed_before,
            stillness: Stillness::default(),
        }
    }

    /// Whether records may come.
    pub(super) fn is_fed(&self) -> bool {
        !self.is_paused && self.may_begin()
    }

    /// What changes whenever it moves.
    pub(super) fn sight(&self) -> Sight {
        let (next, watermark, unsettled) = self.partition.progress();
        Sight { next, watermark, unsettled, fetched: self.fetched }
    }

    /// Since when its first record that is not settled waits.
    pub(super) fn oldest(&self) -> Oldest {
        match self.partition.oldest_timestamp() {
            Some(since) => Oldest::Since(since),
            None if self.partition.is_idle() && !self.has_unread() => Oldest::Nothing,
            None => Oldest::Unknown,
        }
    }

    /// Whether the log has records that are due and not taken in, as far as Kafka's client has told. What ends a transaction
    /// has an offset, and is none.
    fn has_unread(&self) -> bool {
        let next = self.partition.next_offset();
        let is_behind = |(end, fetched): (i64, Fetched)| {
            next < end && (fetched.ready > 0 || fetched.next.max(next) < end)
        };
        !self.waits && self.end.zip(self.fetched).is_some_and(is_behind)
    }

    pub(super) fn may_begin(&self) -> bool {
        matches!(self.beginning, Beginning::Continued | Beginning::Known)
    }
}

impl Assignment {
    /// What this partition may hold of the bounds of the whole service. Those of copies count while they hold any.
    fn share(&self, name: &Name, bounds: Bounds) -> Bounds {
        let counts = |(other, running): &(&Name, &Running)| {
            let partition = &running.partition;
            *other == name || partition.topic.copies_of.is_none() || partition.progress().2 > 0
        };
        let partitions = (self.running.iter().filter(counts).count() + self.held.len()).max(1);
        Bounds { records: (bounds.records / partitions).max(1), bytes: (bounds.bytes / partitions).max(1) }
    }

    /// The partition, if it may begin, and how much it may hold.
    pub(super) fn fed(&self, name: &Name, bounds: Bounds) -> Option<(Arc<Partition>, Bounds)> {
        let running = self.running.get(name).filter(|running| !running.is_paused)?;
        Some((Arc::clone(&running.partition), self.share(name, bounds)))
    }

    /// Resumes the partitions that may begin.
    pub(super) fn resume(&mut self, consumer: &GroupConsumer) -> Result<(), KafkaError> {
        for running in self.running.values_mut().filter(|running| running.is_paused && running.may_begin()) {
            consumer.resume(&list([running.partition.name()]))?;
            running.is_paused = false;
        }
        Ok(())
    }

    /// The partitions about which the store is to be told something.
    pub(super) fn due(&self) -> Vec<(Name, Due)> {
        let tells = |beginning| !matches!(beginning, Beginning::Uncommitted | Beginning::Known);
        let due = |running: &Running| Due {
            beginning: running.beginning,
            topic_partitions: running.topic_partitions,
            topic_id: running.topic_id.clone(),
            watermark: running.partition.watermark(),
        };
        let running = self.running.iter().filter(|(_, running)| tells(running.beginning));
        running.map(|(name, running)| (name.clone(), due(running))).collect()
    }

    /// Something other than a record has come from this partition.
    pub(super) fn failed(&mut self, name: &Name, error: &KafkaError) {
        if let Some(running) = self.running.get_mut(name) {
            running.is_lost |= is_loss(error);
            running.trouble = Some(error.to_string());
        }
    }

    /// Records have come from it.
    pub(super) fn flows(&mut self, name: &Name) {
        if let Some(running) = self.running.get_mut(name) {
            running.trouble = None;
        }
    }

    /// Partitions whose next records are not in their logs, as Kafka's client says, and which those are.
    pub(super) fn suspects(&self) -> Vec<(Name, i64)> {
        let lost = self.running.iter().filter(|(_, running)| running.is_lost);
        lost.map(|(name, running)| (name.clone(), running.partition.next_offset())).collect()
    }

    /// Forgets a partition. What runs there may finish and completes its claims, but commits nothing.
    pub(super) fn end(&mut self, name: &Name) {
        self.ending.retain(|partition| !partition.is_stopped());
        if let Some(running) = self.running.remove(name) {
            running.partition.stop();
            note_of(Happened::Revoked, &running.partition, running.partition.next_offset());
            self.ending.push(running.partition);
        }
    }

    /// Begins nothing new anywhere.
    pub(super) fn stop_all(&self) {
        self.running.values().for_each(|running| running.partition.stop());
    }

    /// The same; whether everything that ran has finished.
    pub(super) fn is_drained(&self) -> bool {
        self.stop_all();
        let mut all = self.running.values().map(|running| &running.partition).chain(&self.ending);
        all.all(|partition| partition.is_stopped())
    }
}

/// Whether Kafka's client says that what it is to fetch is not in the log.
pub(super) fn is_loss(error: &KafkaError) -> bool {
    *error == KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset)
}

/// These partitions, without offsets.
pub(super) fn list<'a>(names: impl IntoIterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in names {
        list.add_partition(topic, partition);
    }
    list
}
