//! How far a group is, by the brokers' word: true also where no pod lives.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::{
    Service,
    config::Settings,
    kafka::{GroupOffsets, KafkaClient, KafkaFault},
    pipeline::sent_on::{redrive_topic, retry_topic},
    worker::group_of,
};

/// One partition of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct PartitionLag {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// The offset that the group has committed, if it has.
    pub(crate) committed: Option<i64>,
    /// The next offset to be written.
    pub(crate) end: i64,
    /// Records between the two.
    pub(crate) lag: Option<i64>,
}

/// A group as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GroupLag {
    /// Of all partitions that have a committed offset, but for those of `later`.
    pub(crate) lag: i64,
    /// The same of what was sent on to be tried later: most of it waits for its time.
    pub(crate) later: i64,
    pub(crate) partitions: Vec<PartitionLag>,
}

/// The topics that a group reads.
#[derive(Debug, Default)]
struct Topics {
    group: String,
    /// Where events come from, and where dead letters are sent back.
    live: BTreeSet<String>,
    /// Where events wait that are tried later.
    later: BTreeSet<String>,
}

impl GroupLag {
    /// How far the groups of these services are, in their order.
    ///
    /// # Errors
    /// Nobody answers, and who it is about.
    pub(crate) async fn of_all(
        settings: &Settings,
        services: &[Service],
        kafka: &KafkaClient,
    ) -> Result<Vec<Self>, String> {
        let mut found = Vec::new();
        for service in services {
            let (topics, kafka) = (Topics::of(settings, service), kafka.clone());
            let asked = tokio::task::spawn_blocking(move || topics.ask(&kafka)).await;
            let lag = asked.map_err(|error| error.to_string())?;
            found.push(
                lag.map_err(|fault| format!("how far {} is cannot be asked: {fault}", service.name()))?,
            );
        }
        Ok(found)
    }
}

impl Topics {
    fn of(settings: &Settings, service: &Service) -> Self {
        let group = group_of(service, &settings.service(service.name()));
        let mut topics = Self { group, ..Self::default() };
        for (topic, handler) in service.table().iter() {
            let source = settings.topics.physical(topic);
            let retry = settings.handler(service.name(), handler.name()).retry;
            let delays = retry.over(handler.retry_policy()).later;
            topics.later.extend(delays.iter().map(|delay| retry_topic(source, &topics.group, delay)));
            topics.live.extend([source.to_owned(), redrive_topic(source, &topics.group)]);
        }
        topics
    }

    fn ask(&self, kafka: &KafkaClient) -> Result<GroupLag, KafkaFault> {
        let topics: Vec<String> = self.live.union(&self.later).cloned().collect();
        let mut lag = GroupLag { partitions: lag_of(kafka, &self.group, &topics)?, ..GroupLag::default() };
        for partition in &lag.partitions {
            let sum = if self.later.contains(&partition.topic) { &mut lag.later } else { &mut lag.lag };
            *sum += partition.lag.unwrap_or_default();
        }
        Ok(lag)
    }
}

/// All partitions of those of these topics that are there, in their order. Blocks, so it must not run where async code
/// does.
///
/// # Errors
/// Nobody answers.
pub(crate) fn lag_of(
    kafka: &KafkaClient,
    group: &str,
    topics: &[String],
) -> Result<Vec<PartitionLag>, KafkaFault> {
    let offsets = GroupOffsets::open(kafka, group)?;
    let mut found = Vec::new();
    for topic in topics {
        for (partition, committed, end) in offsets.of(topic)? {
            let lag = committed.map(|committed| (end - committed).max(0));
            found.push(PartitionLag { topic: topic.clone(), partition, committed, end, lag });
        }
    }
    Ok(found)
}
