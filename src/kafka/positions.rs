//! Asks Kafka and the store where partitions begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};
use tokio::runtime::Handle;

use super::{
    group::GroupConsumer,
    start::{Known, Start},
};
use crate::{
    config::StartFrom,
    store::{Anchors, DedupeStore},
};

/// How long Kafka may take to answer one question.
const KAFKA_ANSWERS: Duration = Duration::from_secs(10);
/// How long the store may take to answer one question.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

/// Who asks, and what a first start is.
#[derive(Debug)]
pub(crate) struct Positions {
    pub(crate) group: String,
    pub(crate) start_from: StartFrom,
    pub(crate) store: Arc<dyn DedupeStore>,
    pub(crate) runtime: Handle,
}

/// Where one partition begins, and how many its topic has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) start: Start,
    /// Kafka has the start as the group's committed offset already.
    pub(super) is_committed: bool,
    /// How many partitions the topic has.
    pub(super) partitions: i32,
}

impl Positions {
    /// Resolves some partitions of one topic. An error says what could not be asked.
    pub(super) fn resolve(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partitions: &BTreeSet<i32>,
    ) -> Result<BTreeMap<i32, Position>, String> {
        let kafka = |error: KafkaError| format!("Kafka did not say where {topic} begins: {error}");
        let count = partition_count(consumer, topic).map_err(kafka)?;
        let committed = committed(consumer, topic, count).map_err(kafka)?;
        let anchors = self.anchors(topic)?;
        partitions
            .iter()
            .map(|&partition| {
                let log = consumer.fetch_watermarks(topic, partition, KAFKA_ANSWERS).map_err(kafka)?;
                let first_start = self.first_start(consumer, topic, partition, log).map_err(kafka)?;
                let known =
                    Known { topic, partition, log, committed: &committed, anchors: &anchors, first_start };
                let start = known.start();
                let is_committed =
                    committed.get(&partition).is_some_and(|offset| start == Start::At(*offset));
                Ok((partition, Position { start, is_committed, partitions: count }))
            })
            .collect()
    }

    /// Whether the log still has what this partition reads next.
    pub(super) fn is_in_log(
        consumer: &GroupConsumer,
        topic: &str,
        partition: i32,
        next: i64,
    ) -> Result<bool, KafkaError> {
        let (low, high) = consumer.fetch_watermarks(topic, partition, KAFKA_ANSWERS)?;
        Ok((low..=high).contains(&next))
    }

    fn first_start(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partition: i32,
        (low, high): (i64, i64),
    ) -> Result<i64, KafkaError> {
        let time = match self.start_from {
            StartFrom::Earliest => return Ok(low),
            StartFrom::Latest => return Ok(high),
            StartFrom::Time(time) => time,
        };
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, partition, Offset::Offset(time.as_millisecond()))?;
        let answer = consumer.offsets_for_times(asked, KAFKA_ANSWERS)?;
        // No record is as young as this: the first one to come will be.
        let found = answer.find_partition(topic, partition).map(|found| found.offset());
        Ok(if let Some(Offset::Offset(offset)) = found { offset } else { high })
    }

    fn anchors(&self, topic: &str) -> Result<Anchors, String> {
        self.ask_store("where the group began", self.store.anchors(&self.group, topic))
    }

    /// Lets the store remember that this group has begun on these partitions.
    pub(super) fn anchor(&self, topic: &str, partitions: i32, started: &[(i32, i64)]) -> Result<(), String> {
        self.ask_store("that the group began", self.store.anchor(&self.group, topic, partitions, started))
    }

    /// A person's decision has been carried out.
    pub(super) fn accepted(&self, topic: &str, partition: i32) -> Result<(), String> {
        self.ask_store("what was accepted", self.store.accepted_done(&self.group, topic, partition))
    }

    fn ask_store<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, crate::store::StoreFault>>,
    ) -> Result<T, String> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(STORE_ANSWERS, call).await });
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(format!("the dedupe store could not be asked {what}: {fault}")),
            Err(_) => Err(format!("the dedupe store could not be asked {what}: no answer in time")),
        }
    }
}

fn partition_count(consumer: &GroupConsumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), KAFKA_ANSWERS)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    Ok(found.map_or(0, |found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
}

/// The group's committed offsets on every partition of the topic.
fn committed(
    consumer: &GroupConsumer,
    topic: &str,
    partitions: i32,
) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let mut asked = TopicPartitionList::new();
    if partitions > 0 {
        asked.add_partition_range(topic, 0, partitions - 1);
    }
    let answer = consumer.committed_offsets(asked, KAFKA_ANSWERS)?;
    let mut offsets = BTreeMap::new();
    for element in answer.elements() {
        element.error()?;
        if let Offset::Offset(offset) = element.offset() {
            offsets.insert(element.partition(), offset);
        }
    }
    Ok(offsets)
}
