//! Topics of one test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use futures_util::future::join_all;
use rdkafka::TopicPartitionList;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, Producer};
use rdkafka::topic_partition_list::Offset;

use super::super::wait::until;
use super::{PATIENCE, ReadRecord, Record, blocking, client, metadata};

/// A topic. `new` makes one with a name of its own; `named` is for those that the code under test makes.
#[derive(Debug, Clone)]
pub struct TestTopic {
    brokers: String,
    name: String,
}

impl TestTopic {
    /// A new topic on the shared brokers.
    pub async fn new(partitions: i32) -> TestTopic {
        TestTopic::with_config(partitions, &[]).await
    }

    /// A new topic with settings such as `("retention.ms", "-1")`.
    pub async fn with_config(partitions: i32, config: &[(&str, &str)]) -> TestTopic {
        let topic = TestTopic::named(&super::super::unique("test"));
        topic.create(partitions, config).await;
        topic
    }

    /// A topic of this name on the shared brokers, which may not exist yet.
    pub fn named(name: &str) -> TestTopic {
        TestTopic::at(&super::brokers(), name)
    }

    /// A topic of this name on these brokers, which may not exist yet.
    pub fn at(brokers: &str, name: &str) -> TestTopic {
        TestTopic { brokers: brokers.into(), name: name.into() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The brokers it is on.
    pub fn brokers(&self) -> &str {
        &self.brokers
    }

    /// Makes it and waits until every partition has a leader.
    pub async fn create(&self, partitions: i32, config: &[(&str, &str)]) {
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Fixed(1));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made =
            self.admin().create_topics([&topic], &options()).await.expect("an answer about a new topic");
        made[0].as_ref().unwrap_or_else(|(name, code)| panic!("Kafka refuses to make {name}: {code}"));
        self.led(partitions).await;
    }

    /// The same with its copies on these brokers, of which the first leads.
    pub async fn create_led_by(&self, partitions: i32, brokers: &[i32], config: &[(&str, &str)]) {
        let each: Vec<&[i32]> = (0..partitions).map(|_| brokers).collect();
        let topic = NewTopic::new(&self.name, partitions, TopicReplication::Variable(&each));
        let topic = config.iter().fold(topic, |topic, (key, value)| topic.set(key, value));
        let made =
            self.admin().create_topics([&topic], &options()).await.expect("an answer about a new topic");
        made[0].as_ref().unwrap_or_else(|(name, code)| panic!("Kafka refuses to make {name}: {code}"));
        self.led(partitions).await;
    }

    async fn led(&self, partitions: i32) {
        until(&format!("leaders of {}", self.name), PATIENCE, async || match self.partitions().await {
            Ok(led) if led == partitions => Ok(()),
            other => Err(other),
        })
        .await;
    }

    /// How many partitions have a leader; what Kafka says where the topic is not there.
    pub async fn partitions(&self) -> Result<i32, String> {
        let metadata = metadata(&self.brokers, Some(&self.name), PATIENCE).await?;
        let topic = metadata.topics().first().ok_or("no such topic")?;
        let led = topic.partitions().iter().filter(|partition| partition.leader() >= 0).count();
        topic.error().map_or(Ok(led as i32), |error| Err(format!("{error:?}")))
    }

    /// Sends one record; its partition and offset, once all replicas have it.
    pub async fn produce(&self, record: Record) -> (i32, i64) {
        self.produce_all([record]).await[0]
    }

    /// Sends records in their order; their partitions and offsets, once all replicas have them.
    pub async fn produce_all(&self, records: impl IntoIterator<Item = Record>) -> Vec<(i32, i64)> {
        let producer = producer(&self.brokers);
        let sent = records.into_iter().map(|record| {
            let sent = producer.send_result(record.to_kafka(&self.name));
            sent.unwrap_or_else(|(error, _)| panic!("{} takes no record: {error}", self.name))
        });
        let sent: Vec<_> = sent.collect();
        join_all(sent.into_iter().map(async |answer| {
            let answer = answer.await.expect("a producer that lives");
            let place = answer.unwrap_or_else(|(error, _)| panic!("{} takes no record: {error}", self.name));
            (place.partition, place.offset)
        }))
        .await
    }

    /// Every committed record there is now, by partition and offset.
    pub async fn read(&self) -> Vec<ReadRecord> {
        let topic = self.clone();
        blocking(move || topic.read_now()).await
    }

    /// The first offset still there and the next one to be written, of one partition.
    pub async fn watermarks(&self, partition: i32) -> (i64, i64) {
        let (config, name) = (client(&self.brokers), self.name.clone());
        blocking(move || {
            let consumer: BaseConsumer = config.create().expect("a consumer");
            let began = std::time::Instant::now();
            loop {
                // The partition's leader may be on its way.
                match consumer.fetch_watermarks(&name, partition, PATIENCE) {
                    Ok(ends) => return ends,
                    Err(error) if began.elapsed() > PATIENCE => panic!("the ends of a partition: {error}"),
                    Err(_) => std::thread::yield_now(),
                }
            }
        })
        .await
    }

    /// Changes one setting and leaves the others.
    pub async fn alter(&self, key: &str, value: &str) {
        let resource = || ResourceSpecifier::Topic(&self.name);
        let admin = self.admin();
        let now = admin.describe_configs([&resource()], &options()).await.expect("an answer about settings");
        let now = now[0].as_ref().expect("the topic's settings");
        let own =
            now.entries.iter().filter(|entry| !entry.is_default && !entry.is_read_only && entry.name != key);
        let own: Vec<_> = own.filter_map(|entry| Some((&*entry.name, entry.value.as_deref()?))).collect();
        let change =
            own.into_iter().fold(AlterConfig::new(resource()), |change, (key, value)| change.set(key, value));
        let done = admin
            .alter_configs([&change.set(key, value)], &options())
            .await
            .expect("an answer about settings");
        done[0].as_ref().unwrap_or_else(|(_, code)| panic!("Kafka refuses {key}={value}: {code}"));
        until(&format!("{key}={value} to count"), PATIENCE, async || {
            let now =
                admin.describe_configs([&resource()], &options()).await.map_err(|error| error.to_string())?;
            let now = now[0].as_ref().map_err(|code| code.to_string())?;
            let counts =
                now.entries.iter().any(|entry| entry.name == key && entry.value.as_deref() == Some(value));
            if counts { Ok(()) } else { Err("it is as it was".to_owned()) }
        })
        .await;
    }

    /// Deletes it and waits until Kafka no longer knows it.
    pub async fn delete(&self) {
        let gone =
            self.admin().delete_topics(&[&self.name], &options()).await.expect("an answer about a topic");
        gone[0].as_ref().unwrap_or_else(|(name, code)| panic!("Kafka refuses to delete {name}: {code}"));
        let what = format!("{} to go", self.name);
        until(&what, PATIENCE, async || self.partitions().await.map_or(Ok(()), Err)).await;
    }

    /// Deletes the records of one partition below an offset.
    pub async fn delete_records(&self, partition: i32, below: i64) {
        let mut place = TopicPartitionList::new();
        place.add_partition_offset(&self.name, partition, Offset::Offset(below)).expect("a place");
        let done = self.admin().delete_records(&place, &options()).await.expect("an answer about records");
        done.elements().iter().for_each(|element| element.error().expect("records deleted"));
    }

    /// Gives it so many partitions in all, and waits until each has a leader.
    pub async fn grow(&self, partitions: i32) {
        let more = NewPartitions::new(&self.name, usize::try_from(partitions).expect("a count"));
        let done =
            self.admin().create_partitions([&more], &options()).await.expect("an answer about a topic");
        done[0].as_ref().unwrap_or_else(|(name, code)| panic!("Kafka refuses to grow {name}: {code}"));
        self.led(partitions).await;
        // The producer that all tests share would go on with the number that it knows.
        let (producer, name) = (producer(&self.brokers), self.name.clone());
        let known = blocking(move || producer.client().fetch_metadata(Some(&name), PATIENCE).map(drop));
        known.await.expect("the topic's partitions");
    }

    pub(super) async fn delete_group(&self, group: &str) -> Result<(), String> {
        let done = self.admin().delete_groups(&[group], &options()).await.expect("an answer about a group");
        done[0].as_ref().map(drop).map_err(|(_, code)| code.to_string())
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        client(&self.brokers).create().expect("an admin client")
    }

    fn read_now(&self) -> Vec<ReadRecord> {
        let mut config = client(&self.brokers);
        config
            .set("group.id", "reader")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        config.set("isolation.level", "read_committed").set("fetch.message.max.bytes", "8388608");
        // At the end of a topic the broker would hold back its answer for half a second.
        config.set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let metadata = consumer.fetch_metadata(Some(&self.name), PATIENCE).expect("the topic's partitions");
        let mut unread: BTreeSet<i32> = metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
        let mut from_the_start = TopicPartitionList::new();
        for partition in &unread {
            from_the_start.add_partition_offset(&self.name, *partition, Offset::Beginning).expect("a place");
        }
        consumer.assign(&from_the_start).expect("an assignment");
        let mut records = Vec::new();
        while !unread.is_empty() {
            match consumer.poll(PATIENCE) {
                Some(Ok(message)) => records.push(ReadRecord::from_kafka(&message)),
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(unread.remove(&partition)),
                Some(Err(error)) => panic!("{} cannot be read: {error}", self.name),
                None => panic!("{} gives nothing for {PATIENCE:?}; partitions unread: {unread:?}", self.name),
            }
        }
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }
}

/// One producer for all tests on these brokers: each new one would wait half a second for its id.
fn producer(brokers: &str) -> FutureProducer {
    static PRODUCERS: Mutex<BTreeMap<String, FutureProducer>> = Mutex::new(BTreeMap::new());
    let mut producers = PRODUCERS.lock().unwrap_or_else(PoisonError::into_inner);
    let producer = producers.entry(brokers.into()).or_insert_with(|| {
        let mut config = client(brokers);
        config.set("enable.idempotence", "true").set("message.max.bytes", "8388608");
        config.create().expect("a producer")
    });
    producer.clone()
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}
