//! What is committed of the partitions that this consumer has: offsets that have moved, notes about what is finished
//! beyond them, and beginnings.

use std::time::{Duration, Instant};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    topic_partition_list::TopicPartitionListElem,
};

use super::{
    assignment::{Assignment, Beginning, Name, Running},
    commits,
    group::GroupConsumer,
    notes::{Point, list_of},
};
use crate::{
    crash::crash_point,
    evidence::{self, Happened, Note, note},
    pipeline::{Committable, Partition, finished::Place},
};

/// What is finished beyond an offset that stays is written down no more often than this: it is of use after a crash only,
/// and then only if the store has lost its memory.
const NOTE_AGAIN: Duration = Duration::from_secs(1);
/// A commit that has not been answered for so long is made again: Kafka's client may have lost it with its connection.
const UNANSWERED: Duration = Duration::from_secs(10);

impl Assignment {
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
            let moved = running.stored.is_some_and(|(before, _)| before < *offset);
            let waits = running.stored.is_none() && matches!(mode, CommitMode::Async);
            running.stored = Some((*offset, Instant::now()));
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
        match committed {
            // The answer has come; that of the others comes to `committed`.
            Ok(()) if matches!(mode, CommitMode::Sync) => {
                let taken = offsets.elements();
                taken.iter().filter(|element| element.error().is_ok()).for_each(|element| {
                    self.note_committed(element);
                });
            }
            Ok(()) => {}
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => self.all_committed(),
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
            if !with_notes && !running.is_due(running.partition.watermark()) {
                return None;
            }
            let committable = running.partition.committable();
            let note = if self.notes_refused { String::new() } else { running.note(name, &committable) };
            let is_new = !note.is_empty() && running.noted.as_ref() != Some(&note);
            let offset = committable.watermark;
            let is_worth_it = running.is_due(offset) || with_notes && is_new;
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
}

impl Running {
    /// It is not certain any more what Kafka has.
    pub(super) fn not_stored(&mut self) {
        (self.stored, self.noted) = (None, None);
    }

    /// Whether this watermark is to be handed over for committing.
    fn is_due(&self, watermark: i64) -> bool {
        let Some((stored, then)) = self.stored else { return true };
        let is_unanswered = self.acknowledged.is_none_or(|acknowledged| acknowledged < stored);
        stored < watermark || is_unanswered && then.elapsed() >= UNANSWERED
    }

    /// What is finished beyond the watermark, for the next owner. Without the topic's id nobody could tell whether it
    /// means the same records.
    fn note(&self, (_, partition): &Name, committable: &Committable) -> String {
        let Some(topic_id) = &self.topic_id else { return String::new() };
        let place = Place { topic_id, partition: *partition, offset: committable.watermark };
        committable.finished.note(&place)
    }
}

pub(super) fn note_of(happened: Happened, partition: &Partition, offset: i64) {
    note(|| Note {
        group: Some(partition.topic.service.group()),
        epoch: Some(partition.epoch),
        ..Note::at(happened, partition.name(), offset)
    });
}
