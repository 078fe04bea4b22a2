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
    group::{Group, GroupConsumer},
    notes::{Point, list_of},
};
use crate::{
    crash::crash_point,
    evidence::{self, Happened, Note, note},
    pipeline::{Committable, Partition, finished::Place},
    telemetry::metrics::CommitOutcome,
};

/// Between two tries of a last commit.
const AGAIN: Duration = Duration::from_millis(200);
/// What is finished beyond an offset that stays is written down no more often than this: it is of use after a crash only,
/// and then only if the store has lost its memory.
const NOTE_AGAIN: Duration = Duration::from_secs(1);
/// A commit that has not been answered for so long is made again: Kafka's client may have lost it with its connection.
const UNANSWERED: Duration = Duration::from_secs(10);

impl Group {
    /// Commits, and does it again until `deadline` where that may help: nobody here commits after this.
    pub(super) fn last_commit(&self, consumer: &GroupConsumer, deadline: Instant) {
        while let Err(error) = self.assignment().commit(consumer, CommitMode::Sync) {
            self.commit_failed(&error);
            if !commits::may_pass(&error) || Instant::now() + AGAIN >= deadline {
                return;
            }
            self.service.status.health.tick();
            std::thread::sleep(AGAIN);
        }
    }

    /// Never fatal: a later commit covers this one, and the next owner skips what the store knows.
    pub(super) fn commit_failed(&self, error: &KafkaError) {
        self.service.status.metrics.commit(CommitOutcome::Failed);
        tracing::warn!(%error, "a commit failed; a later one covers it");
    }
}

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
        let mut points = self.points(mode);
        if points.is_empty() || consumer.assignment_lost() {
            return Ok(());
        }
        // Kafka's client answers `Ok` if it stored any of them, and refuses each that is no longer ours.
        let stored = list_of(&points)?;
        drop(consumer.store_offsets(&stored));
        points.retain(|Point { name: (topic, partition), .. }| {
            stored.find_partition(topic, *partition).is_some_and(|place| place.error().is_ok())
        });
        if points.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        for Point { name, offset, note } in &points {
            let Some(running) = self.running.get_mut(name) else { continue };
            running.stored = Some((*offset, now));
            running.noted = Some(note.clone());
            note_of(Happened::Stored, &running.partition, *offset);
        }
        crash_point("before_commit");
        // One by one: of all that was stored, Kafka's client leaves out what does not lie beyond its own last commit.
        // That may be one of an earlier assignment, and the group may have gone back since then.
        let offsets = list_of(&points)?;
        let committed = match mode {
            CommitMode::Async => commits::commit(consumer, &offsets),
            CommitMode::Sync => commits::commit_and_wait(consumer, &offsets),
        };
        match (&committed, mode) {
            // The answer has come; that of the others comes to `committed`.
            (Ok(()), CommitMode::Sync) => {
                self.committed(&offsets);
            }
            (Ok(()), CommitMode::Async) => {}
            (Err(_), _) => {
                let failed = points.iter().map(|point| &point.name);
                failed.for_each(|name| {
                    self.running.get_mut(name).map(Running::not_stored);
                });
            }
        }
        committed
    }

    /// What is worth a commit: offsets that have moved, and now and then notes about what lies beyond those that stay.
    fn points(&mut self, mode: CommitMode) -> Vec<Point> {
        let now = Instant::now();
        let with_notes = matches!(mode, CommitMode::Sync) || self.next_notes.is_none_or(|next| next <= now);
        if with_notes {
            self.next_notes = Some(now + NOTE_AGAIN);
        }
        let point = |(name, running): (&Name, &Running)| {
            let is_due = |watermark| {
                running.is_due(watermark) || matches!(mode, CommitMode::Sync) && running.is_unanswered()
            };
            if !with_notes && !is_due(running.partition.watermark()) {
                return None;
            }
            let committable = running.partition.committable();
            let note = if self.notes_refused { String::new() } else { running.note(name, &committable) };
            let is_new = !note.is_empty() && running.noted.as_ref() != Some(&note);
            let offset = committable.watermark;
            let is_worth_it = is_due(offset) || with_notes && is_new;
            is_worth_it.then(|| Point { name: name.clone(), offset, note })
        };
        self.running.iter().filter(|(_, running)| running.may_begin()).filter_map(point).collect()
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
        commits::commit(consumer, &list_of(&beginnings)?)
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
        stored < watermark || self.is_unanswered() && then.elapsed() >= UNANSWERED
    }

    /// Whether it was handed over, and Kafka has not said yet that it has it.
    fn is_unanswered(&self) -> bool {
        let Some((stored, _)) = self.stored else { return false };
        self.acknowledged.is_none_or(|acknowledged| acknowledged < stored)
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
