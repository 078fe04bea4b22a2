//! The partitions that this consumer has now: fed, paused, resumed and committed.

use std::{collections::BTreeMap, sync::Arc};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{group::GroupConsumer, positions::Position};
use crate::{
    Record,
    crash::crash_point,
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
}

/// A partition at work.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) partition: Arc<Partition>,
    /// The last position handed over for committing.
    stored: Option<i64>,
    /// The store does not know yet that this partition has begun, on a topic with so many partitions.
    pub(super) anchor_due: Option<i32>,
    /// Nothing is taken in before the start is committed and remembered: a crash would begin elsewhere.
    is_new: bool,
    paused: bool,
    pub(super) metrics: PartitionMetrics,
}

impl Running {
    /// A paused partition that is resumed when it may begin.
    pub(super) fn new(partition: Arc<Partition>, metrics: PartitionMetrics, position: &Position) -> Self {
        let (is_new, anchor_due) = (!position.is_committed, Some(position.partitions));
        Self { partition, stored: None, anchor_due, is_new, paused: true, metrics }
    }
}

impl Assignment {
    pub(super) fn len(&self) -> usize {
        self.running.len() + self.held.len()
    }

    /// What one partition may hold of the bounds of the whole service.
    fn share(&self, bounds: Bounds) -> Bounds {
        let partitions = self.len().max(1);
        Bounds { records: (bounds.records / partitions).max(1), bytes: (bounds.bytes / partitions).max(1) }
    }

    /// Hands a record to its partition and pauses it when that is full. A record of a partition that is held or
    /// gone is dropped: it will be delivered again, to us or to its new owner.
    pub(super) fn take(
        &mut self,
        consumer: &GroupConsumer,
        record: Record,
        bounds: Bounds,
    ) -> Result<(), KafkaError> {
        let share = self.share(bounds);
        let Some(running) = self.running.get_mut(&(Arc::clone(&record.topic), record.partition)) else {
            return Ok(());
        };
        running.partition.take(record);
        if !running.paused && running.partition.is_full(share) {
            consumer.pause(&list([running.partition.name()]))?;
            running.paused = true;
        }
        Ok(())
    }

    /// Resumes the partitions that may begin, or have room again.
    pub(super) fn resume(&mut self, consumer: &GroupConsumer, bounds: Bounds) -> Result<(), KafkaError> {
        let share = self.share(bounds);
        for running in self.running.values_mut().filter(|running| running.paused) {
            let may_begin = !running.is_new || running.anchor_due.is_none();
            if may_begin && running.partition.has_room(share) {
                consumer.resume(&list([running.partition.name()]))?;
                running.paused = false;
            }
        }
        Ok(())
    }

    /// Commits the watermarks that have moved. Nothing else in Oncewise commits.
    pub(super) fn commit(&mut self, consumer: &GroupConsumer, mode: CommitMode) -> Result<(), KafkaError> {
        let moved: Vec<(Name, i64)> = self
            .running
            .iter()
            .map(|(name, running)| (name.clone(), running.partition.watermark(), running.stored))
            .filter(|(_, watermark, stored)| stored.is_none_or(|stored| stored < *watermark))
            .map(|(name, watermark, _)| (name, watermark))
            .collect();
        if moved.is_empty() && matches!(mode, CommitMode::Async) {
            return Ok(());
        }
        let mut offsets = TopicPartitionList::new();
        for ((topic, partition), watermark) in &moved {
            offsets.add_partition_offset(topic, *partition, Offset::Offset(*watermark))?;
        }
        // Answers `Ok` if it stored any of them, and refuses those that are no longer ours: each is looked at.
        if offsets.count() > 0 {
            drop(consumer.store_offsets(&offsets));
        }
        for (name, watermark) in moved {
            let stored =
                offsets.find_partition(&name.0, name.1).is_some_and(|element| element.error().is_ok());
            if let (true, Some(running)) = (stored, self.running.get_mut(&name)) {
                running.stored = Some(watermark);
            }
        }
        crash_point("before_commit");
        match consumer.commit_consumer_state(mode) {
            Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => Ok(()),
            other => other,
        }
    }
}

/// These partitions, without offsets.
pub(super) fn list<'a>(names: impl IntoIterator<Item = (&'a str, i32)>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for (topic, partition) in names {
        list.add_partition(topic, partition);
    }
    list
}
