//! The partitions that this consumer has now: fed, paused, resumed and committed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};

use super::{commits, group::GroupConsumer, positions::Position};
use crate::{
    crash::crash_point,
    evidence::{self, Happened, Note, note},
    pipeline::{Bounds, Partition},
    telemetry::PartitionMetrics,
};

/// A commit that has not been answered for so long is made again: Kafka's client may have lost it with its connection.
const UNANSWERED: Duration = Duration::from_secs(10);

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
}

/// A partition at work.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) partition: Arc<Partition>,
    /// The last position handed over for committing, and when.
    stored: Option<(i64, Instant)>,
    /// The last position that Kafka said it has.
    acknowledged: Option<i64>,
    pub(super) beginning: Beginning,
    /// How many partitions its topic has.
    pub(super) topic_partitions: i32,
    /// The id of its topic, where the broker tells it.
    pub(super) topic_id: Option<String>,
    /// Nothing is fetched, for it may not begin yet.
    is_paused: bool,
    pub(super) metrics: PartitionMetrics,
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
        Self {
            partition,
            stored: None,
            acknowledged: None,
            beginning,
            topic_partitions,
            topic_id,
            is_paused: true,
            metrics,
        }
    }

    /// The consumer has been assigned this partition anew, at its own next record: paused, and without the
    /// position that was handed over.
    pub(super) fn assigned_anew(&mut self) {
        self.is_paused = true;
        self.stored = None;
    }

    /// Whether this watermark is to be handed over for committing.
    fn is_due(&self, watermark: i64) -> bool {
        let Some((stored, then)) = self.stored else { return true };
        let is_unanswered = self.acknowledged.is_none_or(|acknowledged| acknowledged < stored);
        stored < watermark || is_unanswered && then.elapsed() >= UNANSWERED
    }

    fn may_begin(&self) -> bool {
        matches!(self.beginning, Beginning::Continued | Beginning::Known)
    }
}

impl Assignment {
    /// What one partition may hold of the bounds of the whole service.
    fn share(&self, bounds: Bounds) -> Bounds {
        let partitions = (self.running.len() + self.held.len()).max(1);
        Bounds { records: (bounds.records / partitions).max(1), bytes: (bounds.bytes / partitions).max(1) }
    }

    /// The partition, if it may begin, and how much more it may hold.
    pub(super) fn room(&self, name: &Name, bounds: Bounds) -> Option<(Arc<Partition>, Bounds)> {
        let running = self.running.get(name).filter(|running| !running.is_paused)?;
        Some((Arc::clone(&running.partition), running.partition.room(self.share(bounds))))
    }

    /// Resumes the partitions that may begin.
    pub(super) fn resume(&mut self, consumer: &GroupConsumer) -> Result<(), KafkaError> {
        for running in self.running.values_mut().filter(|running| running.is_paused && running.may_begin()) {
            consumer.resume(&list([running.partition.name()]))?;
            running.is_paused = false;
        }
        Ok(())
    }

    /// Commits the watermarks that have moved.
    pub(super) fn commit(&mut self, consumer: &GroupConsumer, mode: CommitMode) -> Result<(), KafkaError> {
        let moved: Vec<(Name, i64)> = self
            .running
            .iter()
            .filter(|(_, running)| running.may_begin())
            .map(|(name, running)| (name, running.partition.watermark(), running))
            .filter(|(_, watermark, running)| running.is_due(*watermark))
            .map(|(name, watermark, _)| (name.clone(), watermark))
            .collect();
        if moved.is_empty() && matches!(mode, CommitMode::Async) {
            return Ok(());
        }
        let offsets = offsets(&moved)?;
        // Answers `Ok` if it stored any of them, and refuses those that are no longer ours: each is looked at.
        if offsets.count() > 0 {
            drop(consumer.store_offsets(&offsets));
        }
        for (name, watermark) in moved {
            let stored =
                offsets.find_partition(&name.0, name.1).is_some_and(|element| element.error().is_ok());
            if let (true, Some(running)) = (stored, self.running.get_mut(&name)) {
                running.stored = Some((watermark, Instant::now()));
                note_of(Happened::Stored, &running.partition, watermark);
            }
        }
        crash_point("before_commit");
        let committed = match mode {
            CommitMode::Async => commits::commit(consumer, None),
            CommitMode::Sync => consumer.commit_consumer_state(mode),
        };
        if committed.is_ok() && matches!(mode, CommitMode::Sync) {
            // Its answer has come; that of the others comes to `committed`.
            offsets.elements().iter().filter(|element| element.error().is_ok()).for_each(|element| {
                self.note_committed(element);
            });
        }
        match committed {
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {
                self.all_committed();
                Ok(())
            }
            other => other,
        }
    }

    /// Commits where new partitions begin, as it is: Kafka's client leaves out what does not lie beyond its last
    /// commit, and a beginning may lie before that. The answer comes by [`committed`](Self::committed).
    pub(super) fn commit_beginnings(&self, consumer: &GroupConsumer) -> Result<(), KafkaError> {
        let uncommitted =
            self.running.iter().filter(|(_, running)| running.beginning == Beginning::Uncommitted);
        let beginnings: Vec<(Name, i64)> =
            uncommitted.map(|(name, running)| (name.clone(), running.partition.watermark())).collect();
        if beginnings.is_empty() || consumer.assignment_lost() {
            return Ok(());
        }
        commits::commit(consumer, Some(&offsets(&beginnings)?))
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

    /// Kafka has these offsets, or says what is wrong with some of them. Answers whether a new partition's beginning
    /// was among them.
    pub(super) fn committed(&mut self, answer: &TopicPartitionList) -> bool {
        let mut begun = false;
        for element in answer.elements() {
            let name = (element.topic().into(), element.partition());
            if element.error().is_ok() {
                self.note_committed(&element);
            }
            let Some(running) = self.running.get_mut(&name) else { continue };
            if let Err(error) = element.error() {
                running.stored = None;
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
                    self.unknown.insert(name);
                }
            } else if let Offset::Offset(offset) = element.offset() {
                running.acknowledged = Some(offset);
                if running.beginning == Beginning::Uncommitted && offset == running.partition.watermark() {
                    running.beginning = Beginning::Unremembered;
                    begun = true;
                }
            }
        }
        begun
    }

    /// Kafka has everything that was handed over.
    pub(super) fn all_committed(&mut self) {
        for running in self.running.values_mut() {
            running.acknowledged = running.stored.map(|(stored, _)| stored);
        }
    }

    fn note_committed(&self, element: &TopicPartitionListElem<'_>) {
        let Offset::Offset(offset) = element.offset() else { return };
        if !evidence::is_on() {
            return;
        }
        match self.running.get(&(element.topic().into(), element.partition())) {
            Some(running) => note_of(Happened::Committed, &running.partition, offset),
            // The answer was late: whose it was is not known any more.
            None => {
                note(|| Note::at(Happened::Committed, (element.topic(), element.partition()), offset));
            }
        }
    }

    /// A commit of these offsets has failed: they are handed over again.
    pub(super) fn not_committed(&mut self, offsets: &TopicPartitionList, error: &KafkaError) {
        for element in offsets.elements() {
            let name = (element.topic().into(), element.partition());
            let Some(running) = self.running.get_mut(&name) else { continue };
            running.stored = None;
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
                self.unknown.insert(name);
            }
        }
    }

    /// Forgets a partition. What runs there may finish and completes its claims, but commits nothing.
    pub(super) fn end(&mut self, name: &Name) {
        self.ending.retain(|partition| !partition.is_stopped());
        if let Some(running) = self.running.remove(name) {
            note_of(Happened::Revoked, &running.partition, running.partition.next_offset());
            running.partition.stop();
            self.ending.push(running.partition);
        }
    }

    /// Begins nothing new anywhere; whether everything that ran has finished.
    pub(super) fn is_drained(&self) -> bool {
        self.running.values().for_each(|running| running.partition.stop());
        let mut all = self.running.values().map(|running| &running.partition).chain(&self.ending);
        all.all(|partition| partition.is_stopped())
    }
}

fn note_of(happened: Happened, partition: &Partition, offset: i64) {
    note(|| Note {
        group: Some(partition.topic.service.group()),
        epoch: Some(partition.epoch),
        ..Note::at(happened, partition.name(), offset)
    });
}

fn offsets(positions: &[(Name, i64)]) -> Result<TopicPartitionList, KafkaError> {
    let mut offsets = TopicPartitionList::new();
    for ((topic, partition), offset) in positions {
        offsets.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
    }
    Ok(offsets)
}

/// These partitions, without offsets.
pub(super) fn list<'a>(names: impl IntoIterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in names {
        list.add_partition(topic, partition);
    }
    list
}
