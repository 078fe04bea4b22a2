//! What stands for Kafka: the records to be read, how far they are committed, and what was written.

use std::{collections::BTreeMap, sync::Arc};

use crate::{Header, Record, pipeline::NewRecord};

/// The logs of the topics that are read and written, and the offsets of the one group.
#[derive(Debug, Default)]
pub(super) struct Broker {
    read: BTreeMap<(Arc<str>, i32), Log>,
    /// Dead letters and events out, in the order in which they were written.
    pub(super) written: Vec<Record>,
}

#[derive(Debug, Default)]
struct Log {
    records: Vec<Record>,
    committed: i64,
}

impl Broker {
    /// Puts a record at the end of its partition.
    pub(super) fn deliver(&mut self, mut record: Record) {
        let log = self.read.entry((Arc::clone(&record.topic), record.partition)).or_default();
        record.offset = length(&log.records);
        log.records.push(record);
    }

    /// The partitions that hold anything.
    pub(super) fn partitions(&self) -> Vec<(Arc<str>, i32)> {
        self.read.keys().cloned().collect()
    }

    /// The records of a partition from `offset` on.
    pub(super) fn from(&self, partition: &(Arc<str>, i32), offset: i64) -> Vec<Record> {
        let records = self.read.get(partition).map_or(&[][..], |log| &log.records);
        records.iter().filter(|record| record.offset >= offset).cloned().collect()
    }

    pub(super) fn committed(&self, topic: &str, partition: i32) -> i64 {
        self.read.get(&(topic.into(), partition)).map_or(0, |log| log.committed)
    }

    pub(super) fn commit(&mut self, partition: &(Arc<str>, i32), offset: i64) {
        if let Some(log) = self.read.get_mut(partition) {
            log.committed = offset;
        }
    }

    /// What is not committed, as `topic:partition at offset of end`.
    pub(super) fn open(&self) -> Vec<String> {
        let open = self.read.iter().filter(|(_, log)| log.committed < length(&log.records));
        open.map(|((topic, partition), log)| {
            format!("{topic}:{partition} at {} of {}", log.committed, length(&log.records))
        })
        .collect()
    }

    pub(super) fn write(&mut self, records: &[NewRecord]) {
        for record in records {
            let NewRecord { topic, partition, timestamp, key, value, headers } = record.clone();
            let before = self.written.iter().filter(|record| *record.topic == *topic);
            let offset = i64::try_from(before.count()).unwrap_or(i64::MAX);
            let partition = partition.unwrap_or(0);
            self.written.push(Record {
                topic: topic.into(),
                partition,
                offset,
                timestamp,
                key,
                value,
                headers,
            });
        }
    }
}

fn length(records: &[Record]) -> i64 {
    i64::try_from(records.len()).unwrap_or(i64::MAX)
}

/// Whether these are the headers of a dead letter, and of no event out.
pub(super) fn are_of_a_letter(headers: &[Header]) -> bool {
    headers.iter().any(|header| header.name == "oncewise-disposition")
}
