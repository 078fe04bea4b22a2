//! One topic of a replay, as far as it is read.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{Part, plan::TopicPlan};
use crate::{
    Record,
    kafka::{KafkaFault, LogReader, Read},
    pipeline::{Bounds, Partition, Topic, next_epoch},
};

/// How long one look at Kafka waits.
pub(super) const LOOK: Duration = Duration::from_millis(20);

/// One topic that is being read.
pub(super) struct Reading {
    pub(super) topic: Arc<Topic>,
    pub(super) reader: LogReader,
    pub(super) partitions: BTreeMap<i32, Going>,
    /// What Kafka said after the records that were read last; told when those are taken care of.
    fault: Option<KafkaFault>,
}

/// One partition that is being read.
pub(super) struct Going {
    pub(super) partition: Arc<Partition>,
    pub(super) part: Part,
    /// Everything below was read.
    pub(super) read_to: i64,
    /// What lies behind it is behind a transaction that had not ended when this began.
    pub(super) readable: i64,
}

impl Reading {
    /// Begins to read what is left of these parts.
    pub(super) fn begin(
        topic: Arc<Topic>,
        plan: TopicPlan,
        parts: impl IntoIterator<Item = Part>,
        handlers: &Handle,
    ) -> Result<Self, KafkaFault> {
        let TopicPlan { mut reader, mut stretches, open, .. } = plan;
        let mut partitions = BTreeMap::new();
        for part in parts {
            let partition =
                Partition::new(Arc::clone(&topic), part.partition, next_epoch(), part.at, handlers.clone());
            partitions
                .insert(part.partition, Going { partition, read_to: part.at, readable: part.end, part });
        }
        // The topic may have grown since the replay began: other partitions are none of its.
        stretches.retain_mut(|stretch| {
            let Some(going) = partitions.get_mut(&stretch.partition) else { return false };
            if open.contains_key(&stretch.partition) {
                going.readable = going.part.end.min(stretch.end);
            }
            (stretch.begin, stretch.end) = (going.part.at, going.readable);
            true
        });
        reader.begin(&stretches)?;
        Ok(Self { topic, reader, partitions, fault: None })
    }

    /// Fetches no more where enough waits already.
    pub(super) fn make_room(&mut self, bounds: Bounds) -> Result<(), KafkaFault> {
        for (number, going) in &self.partitions {
            if going.partition.is_full(bounds) {
                self.reader.pause(*number)?;
            } else if going.partition.has_room(bounds) {
                self.reader.resume(*number)?;
            }
        }
        Ok(())
    }

    /// Records, at most so many, and the partitions that have no more after them.
    pub(super) fn read(&mut self, most: usize) -> Result<(Vec<Record>, Vec<i32>), KafkaFault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let (mut records, mut over) = (Vec::new(), Vec::new());
        let mut patience = LOOK;
        while records.len() < most && !self.reader.is_finished() {
            match self.reader.read(patience) {
                Ok(Read::Record(record)) => records.push(record),
                Ok(Read::Ended(number)) => over.push(number),
                Ok(Read::Nothing) => break,
                // The reader is past what it has handed out: that must not be dropped.
                Err(fault) => {
                    self.fault = Some(fault);
                    break;
                }
            }
            patience = Duration::ZERO;
        }
        Ok((records, over))
    }

    /// These partitions have been read.
    pub(super) fn end(&mut self, over: &[i32]) {
        for number in over {
            if let Some(going) = self.partitions.get_mut(number) {
                going.read_to = going.readable;
            }
        }
    }
}
