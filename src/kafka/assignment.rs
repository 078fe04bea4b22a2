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

use super::{
    commits,
    group::GroupConsumer,
    notes::{Point, list_of},
    positions::Position,
    stall::{Fetched, Sight, Stillness},
};
use crate::{
    crash::crash_point,
    evidence::{self, Happened, Note, note},
    pipeline::{Bounds, Committable, Partition, finished::Place},
    telemetry::PartitionMetrics,
};

/// What is finished beyond an offset that stays is written down no more often than this: it is of use after a crash only,
/// and then only if the store has lost its memory.
const NOTE_AGAIN: Duration = Duration::from_secs(1);

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
    next_notes: Option<Instant>,
    /// The brokers take less metadata than notes need.
    notes_refused: bool,
}

/// A partition at work.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) partition: Arc<Partition>,
    /// The last position handed over for committing.
    stored: Option<i64>,
    /// The note that was handed over with it, if that is certain.
    noted: Option<String>,
    pub(super) beginning: Beginning,
    /// How many partitions its topic has.
    pub(super) topic_partitions: i32,
    /// The id of its topic, where the broker tells it.
    pub(super) topic_id: Option<String>,
    /// Nothing is fetched, for it may not begin yet.
    is_paused: bool,
    pub(super) metrics: PartitionMetrics,
    /// What Kafka's client has told since it moved last.
    pub(super) fetched: Option<Fetched>,
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
        Self {
            partition,
            stored: None,
            noted: None,
            beginning,
            topic_partitions,
            topic_id,
            is_paused: true,
            metrics,
            fetched: None,
            stillness: Stillness::default(),
        }
    }

    /// The consumer has been assigned this partition anew, at its own next record: paused, and without the
    /// position that was handed over.
    pub(super) fn assigned_anew(&mut self) {
        self.is_paused = true;
        self.not_stored();
    }

    /// It is not certain any more what Kafka has.
    fn not_stored(&mut self) {
        (self.stored, self.noted) = (None, None);
    }

    fn has_moved_to(&self, watermark: i64) -> bool {
        self.stored.is_none_or(|stored| stored < watermark)
    }

    /// What is finished beyond the watermark, for the next owner. Without the topic's id nobody could tell whether it
    /// means the same records.
    fn note(&self, (_, partition): &Name, committable: &Committable) -> String {
        let Some(topic_id) = &self.topic_id else { return String::new() };
        let place = Place { topic_id, partition: *partition, offset: committable.watermark };
        committable.finished.note(&place)
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

    /// Commits the watermarks that have moved, and what is finished beyond them.
    pub(super) fn commit(&mut self, consumer: &GroupConsumer, mode: CommitMode) -> Result<(), KafkaError> {
        let committed = self.try_commit(consumer, mode);
        match committed {
            Err(error) if self.refuse_notes(&error) => self.try_commit(consumer, mode),
            other => other,
        }
    }

    fn try_commit(&mut self, consumer: &GroupConsumer, mode: CommitMode) -> Result<(), KafkaError> {
        let points = self.points(mode);
        if points.is_empty() && matches!(mode, CommitMode::Async) {
            return Ok(());
        }
        let offsets = list_of(&points)?;
        // Answers `Ok` if it stored any of them, and refuses those that are no longer ours: each is looked at.
        if offsets.count() > 0 {
            drop(consumer.store_offsets(&offsets));
        }
        let mut notes = Vec::new();
        for point in points {
            let Point { name, offset, note } = &point;
            let stored = offsets.find_partition(&name.0, name.1).is_some_and(|place| place.error().is_ok());
            let (true, Some(running)) = (stored, self.running.get_mut(name)) else { continue };
            // Kafka's client leaves out what does not lie beyond its last commit, also where there is a new note.
            let moved = running.stored.is_some_and(|before| before < *offset);
            let waits = running.stored.is_none() && matches!(mode, CommitMode::Async);
            running.stored = Some(*offset);
            note_of(Happened::Stored, &running.partition, *offset);
            if moved {
                running.noted = Some(note.clone());
            } else if !waits && !note.is_empty() {
                notes.push(point);
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
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            other => return other,
        }
        self.commit_notes(consumer, mode, &notes)
    }

    /// What is worth a commit: offsets that have moved, and now and then notes about what lies beyond those that stay.
    fn points(&mut self, mode: CommitMode) -> Vec<Point> {
        let now = Instant::now();
        let with_notes = matches!(mode, CommitMode::Sync) || self.next_notes.is_none_or(|next| next <= now);
        if with_notes {
            self.next_notes = Some(now + NOTE_AGAIN);
        }
        let point = |(name, running): (&Name, &Running)| {
            if !with_notes && !running.has_moved_to(running.partition.watermark()) {
                return None;
            }
            let committable = running.partition.committable();
            let note = if self.notes_refused { String::new() } else { running.note(name, &committable) };
            let is_new = !note.is_empty() && running.noted.as_ref() != Some(&note);
            let offset = committable.watermark;
            let is_worth_it = running.has_moved_to(offset) || with_notes && is_new;
            is_worth_it.then(|| Point { name: name.clone(), offset, note })
        };
        self.running.iter().filter(|(_, running)| running.may_begin()).filter_map(point).collect()
    }

    /// Commits offsets that Kafka has already once more, with other notes. Never beside an assignment: what belongs to
    /// others by now has gone on.
    fn commit_notes(
        &mut self,
        consumer: &GroupConsumer,
        mode: CommitMode,
        notes: &[Point],
    ) -> Result<(), KafkaError> {
        if notes.is_empty() || consumer.assignment_lost() {
            return Ok(());
        }
        let offsets = list_of(notes)?;
        match mode {
            CommitMode::Async => commits::commit(consumer, Some(&offsets))?,
            CommitMode::Sync => commits::commit_and_wait(consumer, &offsets)?,
        }
        for Point { name, note, .. } in notes {
            if let Some(running) = self.running.get_mut(name) {
                running.noted = Some(note.clone());
            }
        }
        Ok(())
    }

    /// Writes no notes any more if that is what the brokers have refused; whether it is, and is news.
    fn refuse_notes(&mut self, error: &KafkaError) -> bool {
        let too_large = KafkaError::ConsumerCommit(RDKafkaErrorCode::OffsetMetadataTooLarge);
        if self.notes_refused || *error != too_large {
            return false;
        }
        tracing::warn!(
            "the brokers take too little metadata with a commit (offset.metadata.max.bytes); what is finished beyond it is known to the store only"
        );
        self.notes_refused = true;
        self.running.values_mut().for_each(Running::not_stored);
        true
    }

    /// Commits where new partitions begin, as it is: Kafka's client leaves out what does not lie beyond its last
    /// commit, and a beginning may lie before that. The answer comes by [`committed`](Self::committed).
    pub(super) fn commit_beginnings(&self, consumer: &GroupConsumer) -> Result<(), KafkaError> {
        let uncommitted =
            self.running.iter().filter(|(_, running)| running.beginning == Beginning::Uncommitted);
        let beginning = |(name, running): (&Name, &Running)| {
            let offset = running.partition.watermark();
            Point { name: name.clone(), offset, note: String::new() }
        };
        let beginnings: Vec<Point> = uncommitted.map(beginning).collect();
        if beginnings.is_empty() || consumer.assignment_lost() {
            return Ok(());
        }
        commits::commit(consumer, Some(&list_of(&beginnings)?))
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
                running.not_stored();
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::UnknownTopicOrPartition) {
                    self.unknown.insert(name);
                }
            } else if running.beginning == Beginning::Uncommitted
                && element.offset() == Offset::Offset(running.partition.watermark())
            {
                running.beginning = Beginning::Unremembered;
                begun = true;
            }
        }
        begun
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
    pub(super) fn not_committed(&mut self, error: &KafkaError, offsets: &TopicPartitionList) {
        self.refuse_notes(error);
        for element in offsets.elements() {
            let name = (element.topic().into(), element.partition());
            let Some(running) = self.running.get_mut(&name) else { continue };
            running.not_stored();
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

/// These partitions, without offsets.
pub(super) fn list<'a>(names: impl IntoIterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in names {
        list.add_partition(topic, partition);
    }
    list
}
