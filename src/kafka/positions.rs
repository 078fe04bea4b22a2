//! Asks Kafka and the store where partitions begin.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rdkafka::{Offset, TopicPartitionList, consumer::Consumer, error::KafkaError};
use tokio::runtime::Handle;

use super::{
    group::GroupConsumer,
    notes::{finished, notes},
    start::{Known, Start},
    topic_ids::topic_id,
};
use crate::{
    config::StartFrom,
    pipeline::{Finished, finished::Place},
    store::{Anchors, DedupeStore},
};

/// How long Kafka may take to answer one question; the loop that polls waits for it.
pub(super) const KAFKA_ANSWERS: Duration = Duration::from_secs(5);
/// The same once a partition's leader has not answered: the others' may, but not one after the other.
const KAFKA_ANSWERS_BRIEFLY: Duration = Duration::from_millis(500);
/// How long the store may take to answer one question.
const STORE_ANSWERS: Duration = Duration::from_secs(5);

/// Who asks, and what a first start is.
#[derive(Debug)]
pub(crate) struct Positions {
    pub(crate) group: String,
    pub(crate) start_from: StartFrom,
    /// Topics of ours: whatever is there was written for this group.
    pub(crate) ours: BTreeSet<String>,
    pub(crate) store: Arc<dyn DedupeStore>,
    /// Whether the brokers tell the ids of topics.
    pub(crate) topic_ids: bool,
    /// Where nothing waits for handlers.
    pub(crate) control: Handle,
    /// Logs that have lost their end, as long as the store could not be told.
    pub(crate) unwritten: Mutex<BTreeMap<(String, i32), i64>>,
}

/// Where one partition begins, and how many its topic has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    pub(super) start: Start,
    /// Kafka has the start as the group's committed offset already.
    pub(super) is_committed: bool,
    /// What its owner of before has finished beyond the start.
    pub(super) finished: Finished,
    /// How many partitions the topic has.
    pub(super) partitions: i32,
    /// The id of its topic, where the broker tells it.
    pub(super) topic_id: Option<String>,
}

/// What concerns all partitions of a topic.
struct Topic {
    count: i32,
    id: Option<String>,
    committed: Committed,
    /// What the store remembers of the group's beginning.
    anchors: Anchors,
}

/// What the group has committed, by partition.
struct Committed {
    offsets: BTreeMap<i32, i64>,
    /// The metadata, where there is some.
    notes: BTreeMap<i32, String>,
}

/// Each partition's position, or who could not be asked.
pub(super) type Resolved = BTreeMap<i32, Result<Position, String>>;

impl Positions {
    /// Where some partitions of one topic begin. Each answer takes its time: `tick` is called after each.
    pub(super) fn resolve(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partitions: &BTreeSet<i32>,
        tick: impl Fn(),
    ) -> Resolved {
        let all = self.known_of(consumer, topic, partitions);
        tick();
        let mut patience = KAFKA_ANSWERS;
        let mut each = |partition: i32| {
            let Topic { count, id, committed: Committed { offsets: committed, notes }, anchors } =
                all.as_ref().map_err(Clone::clone)?;
            let kafka = |error: KafkaError| said_nothing(topic, &error);
            let log = consumer.fetch_watermarks(topic, partition, patience).map_err(|error| {
                patience = KAFKA_ANSWERS_BRIEFLY;
                kafka(error)
            })?;
            let first_start = self.first_start(consumer, topic, partition, log).map_err(kafka)?;
            let topic_id = id.as_deref();
            let known = Known { topic, partition, log, committed, anchors, first_start, topic_id };
            // Before anything else: when it is asked the next time, the log may have grown past the offset.
            if let Some(from) = known.lost_from() {
                self.lost(topic, partition, from)?;
            }
            let start = known.start();
            // What was noted about a log that has lost its end since then is about other records: the place is
            // committed once more, without a note.
            let is_committed = !anchors.lost.contains_key(&partition)
                && known.lost_from().is_none()
                && committed.get(&partition).is_some_and(|offset| start == Start::At(*offset));
            let finished = match (notes.get(&partition), topic_id, &start) {
                (Some(note), Some(topic_id), Start::At(offset)) if is_committed => {
                    finished(topic, note, &Place { topic_id, partition, offset: *offset }, log.1)
                }
                _ => Finished::default(),
            };
            Ok(Position { start, is_committed, finished, partitions: *count, topic_id: id.clone() })
        };
        let each = |partition: &i32| {
            let position = each(*partition);
            tick();
            (*partition, position)
        };
        partitions.iter().map(each).collect()
    }

    /// What concerns all partitions of a topic: their number, the committed offsets, and the group's beginning.
    fn known_of(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partitions: &BTreeSet<i32>,
    ) -> Result<Topic, String> {
        let kafka = |error: KafkaError| said_nothing(topic, &error);
        let count = partition_count(consumer, topic).map_err(kafka)?;
        if partitions.iter().any(|partition| *partition >= count) {
            return Err(format!("Kafka does not know all partitions of {topic} yet, only {count}"));
        }
        let id = self.topic_id(consumer, topic, KAFKA_ANSWERS);
        let committed = committed(consumer, topic, count).map_err(kafka)?;
        let mut anchors = self.anchors(topic)?;
        for (partition, from) in self.unwritten(topic) {
            self.lost(topic, partition, from)?;
            anchors.lost.entry(partition).or_insert(from);
        }
        Ok(Topic { count, id, committed, anchors })
    }

    /// The topic's id, if the broker tells it within `patience`.
    pub(super) fn topic_id(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        patience: Duration,
    ) -> Option<String> {
        if self.topic_ids { topic_id(consumer.client(), topic, patience) } else { None }
    }

    fn first_start(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partition: i32,
        (low, high): (i64, i64),
    ) -> Result<i64, KafkaError> {
        let time = match self.start_from {
            _ if self.ours.contains(topic) => return Ok(low),
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

    /// The log of a partition has lost its end, and has other records from `from` on. Should the store not answer, this
    /// is kept in mind until it does.
    pub(super) fn lost(&self, topic: &str, partition: i32, from: i64) -> Result<(), String> {
        let name = (topic.to_owned(), partition);
        self.all_unwritten().entry(name.clone()).or_insert(from);
        self.ask_store("to remember a loss", self.store.lost(&self.group, topic, partition, from))?;
        self.all_unwritten().remove(&name);
        Ok(())
    }

    fn unwritten(&self, topic: &str) -> Vec<(i32, i64)> {
        let unwritten = self.all_unwritten();
        let of_topic = unwritten.iter().filter(|((name, _), _)| name == topic);
        of_topic.map(|((_, partition), from)| (*partition, *from)).collect()
    }

    fn all_unwritten(&self) -> MutexGuard<'_, BTreeMap<(String, i32), i64>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition has begun, in the topic of this id.
    pub(super) fn begun(&self, topic: &str, partition: i32, topic_id: Option<&str>) -> Result<(), String> {
        self.ask_store("where it began", self.store.begun(&self.group, topic, partition, topic_id))
    }

    fn ask_store<T>(
        &self,
        what: &str,
        call: impl Future<Output = Result<T, crate::store::StoreFault>>,
    ) -> Result<T, String> {
        let answer = self.control.block_on(async { tokio::time::timeout(STORE_ANSWERS, call).await });
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(fault)) => Err(format!("the dedupe store could not be asked {what}: {fault}")),
            Err(_) => Err(format!("the dedupe store could not be asked {what}: no answer in time")),
        }
    }
}

fn said_nothing(topic: &str, error: &KafkaError) -> String {
    format!("Kafka did not say where {topic} begins: {error}")
}

/// 0 as long as Kafka does not know the topic.
fn partition_count(consumer: &GroupConsumer, topic: &str) -> Result<i32, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), KAFKA_ANSWERS)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
    Ok(found.map_or(0, |found| i32::try_from(found.partitions().len()).unwrap_or(i32::MAX)))
}

/// The group's committed offsets on every partition of the topic, and their metadata.
fn committed(consumer: &GroupConsumer, topic: &str, partitions: i32) -> Result<Committed, KafkaError> {
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
    Ok(Committed { offsets, notes: notes(&answer) })
}
