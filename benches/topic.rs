//! Kafka's side: records in, and its own answer to what was committed.

use std::{thread, time::Duration};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::{
    Result,
    records::{Made, Workload},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// Creates the topic and writes the records of the workload into it.
pub(crate) fn fill(brokers: &str, topic: &str, workload: &Workload) -> Result<()> {
    create(brokers, topic, workload.partitions)?;
    let writer = Writer::new(brokers, topic, "20")?;
    workload.made().try_for_each(|made| writer.send(&made))?;
    writer.finish()?;
    let ends: i64 = Offsets::new(brokers, "bench-fill", topic)?.ends()?.iter().sum();
    if usize::try_from(ends)? == workload.records {
        return Ok(());
    }
    Err(format!("the topic holds {ends} records, not {}", workload.records).into())
}

/// Creates a topic.
pub(crate) fn create(brokers: &str, topic: &str, partitions: i32) -> Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    for created in runtime.block_on(admin.create_topics([&new], &AdminOptions::new()))? {
        created.map_err(|(topic, code)| format!("{topic}: {code}"))?;
    }
    Ok(())
}

/// Whether a group has members, each of which knows what it has been given. A coordinator that is still loading does not
/// tell.
pub(crate) fn is_stable(brokers: &str, group: &str) -> Result<bool> {
    let consumer: BaseConsumer = client(brokers).create()?;
    let list = consumer.fetch_group_list(Some(group), PATIENCE);
    Ok(list.is_ok_and(|list| list.groups().iter().any(|group| group.state() == "Stable")))
}

/// Writes records, in their order.
pub(crate) struct Writer {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Writer {
    /// Waits for `linger_ms` for more records that go together.
    pub(crate) fn new(brokers: &str, topic: &str, linger_ms: &str) -> Result<Self> {
        let producer = client(brokers)
            .set("enable.idempotence", "true")
            // As Java, kafkajs and franz-go spread keys.
            .set("partitioner", "murmur2_random")
            .set("linger.ms", linger_ms)
            .set("batch.size", "262144")
            .set("message.max.bytes", "100000000")
            .set("queue.buffering.max.messages", "200000")
            .set("queue.buffering.max.kbytes", "131072")
            .create()?;
        Ok(Self { producer, topic: topic.to_owned() })
    }

    /// Waits while too much is under way.
    pub(crate) fn send(&self, made: &Made) -> Result<()> {
        let mut record = BaseRecord::to(&self.topic).payload(&made.value);
        record.key = made.key.as_ref();
        while let Err((error, again)) = self.producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            thread::sleep(Duration::from_millis(5));
            record = again;
        }
        Ok(())
    }

    /// Waits until the broker has everything.
    pub(crate) fn finish(&self) -> Result<()> {
        Ok(self.producer.flush(PATIENCE)?)
    }
}

/// Asks Kafka about the offsets of one group on one topic.
pub(crate) struct Offsets {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Offsets {
    pub(crate) fn new(brokers: &str, group: &str, topic: &str) -> Result<Self> {
        let consumer: BaseConsumer = client(brokers).set("group.id", group).create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        Ok(Self { consumer, topic: topic.to_owned(), partitions: i32::try_from(partitions)? })
    }

    /// Where each partition ends.
    pub(crate) fn ends(&self) -> Result<Vec<i64>> {
        let end = |partition| Ok(self.consumer.fetch_watermarks(&self.topic, partition, PATIENCE)?.1);
        (0..self.partitions).map(end).collect()
    }

    /// What is committed for each partition, 0 where nothing is.
    pub(crate) fn committed(&self) -> Result<Vec<i64>> {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_range(&self.topic, 0, self.partitions - 1);
        let known = self.consumer.committed_offsets(wanted, PATIENCE)?;
        let offset =
            |partition| match known.find_partition(&self.topic, partition).map(|found| found.offset()) {
                Some(Offset::Offset(offset)) => offset,
                _ => 0,
            };
        Ok((0..self.partitions).map(offset).collect())
    }
}

/// For a loop written by hand, as its author would set it up, and with what is known to slow such loops down put
/// right: see `fetch.queue.backoff.ms`.
pub(crate) fn subscribed<C>(brokers: &str, group: &str, topic: &str) -> Result<C>
where
    C: Consumer + rdkafka::config::FromClientConfig,
{
    let consumer: C = client(brokers)
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "true")
        .set("enable.auto.offset.store", "false")
        // One that is slower than its fetcher stands still for a second at a time otherwise.
        .set("fetch.queue.backoff.ms", "5")
        .create::<C>()
        .map_err(|error: KafkaError| error.to_string())?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}
