//! Reads a small topic of one partition from its beginning, and then whatever comes, outside of any group's life.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode as Code},
    metadata::MetadataTopic,
};

use super::{
    FaultKind, KafkaFault, client::KafkaClient, fault::kind_of, headers::record_of, seen_end::seen_end,
    watcher::Watcher,
};
use crate::Record;

/// How long Kafka may take to answer one question.
const ANSWERS: Duration = Duration::from_secs(10);
/// The only partition that is read.
const PARTITION: i32 = 0;

/// A consumer of one topic, from its beginning and without an end.
pub(crate) struct Tail {
    consumer: BaseConsumer<Watcher>,
    topic: Arc<str>,
    /// Where the log ended when it was opened.
    end: i64,
    /// Everything below was read.
    next: i64,
    /// Everything below `end` was.
    is_read: bool,
}

impl Tail {
    /// Begins to read; `None` where there is no such topic. The client names `group` to the brokers, and never joins it.
    /// Blocks while they are asked.
    ///
    /// # Errors
    /// Nobody answers, or lets us read.
    pub(crate) fn open(client: &KafkaClient, group: &str, topic: &str) -> Result<Option<Self>, KafkaFault> {
        let mut config = client.reader();
        config.set("group.id", group);
        config.set("enable.partition.eof", "true");
        // What is said in a transaction that nobody ends must not hide what is said after it.
        config.set("isolation.level", "read_uncommitted");
        // Of a topic that was made again everything counts.
        config.set("auto.offset.reset", "earliest");
        let watcher = Watcher::default();
        let consumer: BaseConsumer<Watcher> = config.create_with_context(watcher.clone())?;
        let began = Instant::now();
        let explain = |error| watcher.explain(error, &client.brokers, began.elapsed());
        let metadata = consumer.fetch_metadata(Some(topic), ANSWERS).map_err(explain)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        match found.map(MetadataTopic::error) {
            Some(None) => {}
            Some(Some(error)) => match Code::from(error) {
                Code::UnknownTopic | Code::UnknownTopicOrPartition => return Ok(None),
                code => return Err(KafkaFault::new(kind_of(code), format!("topic {topic}: {code}"))),
            },
            None => return Ok(None),
        }
        let (begin, end) = consumer.fetch_watermarks(topic, PARTITION, ANSWERS).map_err(explain)?;
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(topic, PARTITION, Offset::Offset(begin))?;
        consumer.assign(&place)?;
        Ok(Some(Self { consumer, topic: topic.into(), end, next: begin, is_read: begin >= end }))
    }

    /// Waits up to `patience` for the next record.
    ///
    /// # Errors
    /// What Kafka's client says; it goes on by itself.
    pub(crate) fn read(&mut self, patience: Duration) -> Result<Option<Record>, KafkaFault> {
        match self.consumer.poll(patience) {
            None => Ok(None),
            Some(Ok(message)) => {
                let record = record_of(&message, &self.topic);
                self.next = record.offset + 1;
                self.is_read |= self.next >= self.end;
                Ok(Some(record))
            }
            // What lies before the end may be no record, or be gone.
            Some(Err(KafkaError::PartitionEOF(_))) => {
                let seen = seen_end(self.consumer.client(), &self.topic, PARTITION);
                self.is_read |= seen.is_some_and(|seen| seen >= self.end);
                Ok(None)
            }
            Some(Err(KafkaError::MessageConsumption(
                Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition,
            ))) => {
                let gone = format!("topic {} is not there any more", self.topic);
                Err(KafkaFault::new(FaultKind::Misconfigured, gone))
            }
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// Whether everything was read that was there when it was opened.
    pub(crate) fn is_read(&self) -> bool {
        self.is_read
    }

    /// Everything below this offset was read.
    pub(crate) fn next(&self) -> i64 {
        self.next
    }
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("topic", &self.topic).field("next", &self.next).finish_non_exhaustive()
    }
}
