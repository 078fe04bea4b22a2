//! How far a group is, by the brokers' word: true also where no pod lives.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::{
    Service,
    config::Settings,
    kafka::{GroupOffset, GroupOffsets, KafkaClient, KafkaFault},
    pipeline::sent_on::{redrive_topic, source_and_delay},
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
    pub(crate) end: Option<i64>,
    /// Records between the two.
    pub(crate) lag: Option<i64>,
    /// Why one of the two is not known, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unknown: Option<String>,
}

/// A group as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct GroupLag {
    /// Of all partitions that have a committed offset, but for those of `later`.
    pub(crate) lag: i64,
    /// The same of what was sent on to be tried later: most of it waits for its time.
    pub(crate) later: i64,
    /// What these two lack, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lag_unknown: Vec<String>,
    pub(crate) partitions: Vec<PartitionLag>,
}

/// The topics that a group reads.
#[derive(Debug, Default)]
struct Topics {
    group: String,
    /// Where events come from.
    sources: BTreeSet<String>,
    /// Where dead letters are sent back.
    redriven: BTreeSet<String>,
}

impl GroupLag {
    /// How far the groups of these services are, in their order, as far as the brokers tell.
    pub(crate) async fn of_all(settings: &Settings, services: &[Service], kafka: &KafkaClient) -> Vec<Self> {
        let ask = |service| {
            let (topics, kafka) = (Topics::of(settings, service), kafka.clone());
            tokio::task::spawn_blocking(move || topics.ask(&kafka))
        };
        let mut found = Vec::new();
        // All of them are asked at once: where nobody answers each takes its time.
        for asked in services.iter().map(ask).collect::<Vec<_>>() {
            let lag = asked.await.map_err(|error| error.to_string());
            let lag = lag.and_then(|lag| lag.map_err(|fault| fault.to_string()));
            found.push(lag.unwrap_or_else(|why| Self { lag_unknown: vec![why], ..Self::default() }));
        }
        found
    }

    fn of(partitions: Vec<PartitionLag>, is_later: impl Fn(&str) -> bool) -> Self {
        let mut all = Self { lag_unknown: unknown(&partitions), ..Self::default() };
        for partition in &partitions {
            let sum = if is_later(&partition.topic) { &mut all.later } else { &mut all.lag };
            *sum += partition.lag.unwrap_or_default();
        }
        Self { partitions, ..all }
    }
}

impl Topics {
    fn of(settings: &Settings, service: &Service) -> Self {
        let group = group_of(service, &settings.service(service.name()));
        let sources = service.table().iter().map(|(topic, _)| settings.topics.physical(topic).to_owned());
        let sources: BTreeSet<String> = sources.collect();
        let redriven = sources.iter().map(|source| redrive_topic(source, &group)).collect();
        Self { group, sources, redriven }
    }

    /// What is sent on to be tried later waits there, whether its delay is still configured or not.
    fn is_later(&self, topic: &str) -> bool {
        source_and_delay(topic, &self.group).is_some_and(|(source, _)| self.sources.contains(source))
    }

    fn ask(&self, kafka: &KafkaClient) -> Result<GroupLag, KafkaFault> {
        let is_read = |topic: &str| {
            self.sources.contains(topic) || self.redriven.contains(topic) || self.is_later(topic)
        };
        Ok(GroupLag::of(lag_of(kafka, &self.group, is_read)?, |topic| self.is_later(topic)))
    }
}

/// All partitions of these topics, by topic and number. Blocks, so it must not run where async code does.
///
/// # Errors
/// Nobody answers.
pub(crate) fn lag_of(
    kafka: &KafkaClient,
    group: &str,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Vec<PartitionLag>, KafkaFault> {
    let lag = |offset: GroupOffset| {
        let GroupOffset { topic, partition, committed, end, unknown } = offset;
        let lag = committed.zip(end).map(|(committed, end)| (end - committed).max(0));
        PartitionLag { topic, partition, committed, end, lag, unknown }
    };
    Ok(GroupOffsets::open(kafka, group)?.of(is_wanted)?.into_iter().map(lag).collect())
}

/// A sentence for each reason and topic.
fn unknown(partitions: &[PartitionLag]) -> Vec<String> {
    let mut places: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for PartitionLag { topic, partition, unknown, .. } in partitions {
        if let Some(why) = unknown {
            places.entry((topic, why)).or_default().push(partition.to_string());
        }
    }
    let sentence = |((topic, why), numbers): ((&str, &str), Vec<String>)| match &numbers[..] {
        [one] => format!("partition {one} of {topic}: {why}"),
        many => format!("partitions {} of {topic}: {why}", many.join(", ")),
    };
    places.into_iter().map(sentence).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(topic: &str, partition: i32, lag: Option<i64>, unknown: Option<&str>) -> PartitionLag {
        let (topic, unknown) = (topic.to_owned(), unknown.map(str::to_owned));
        PartitionLag { topic, partition, committed: lag.map(|_| 0), end: lag, lag, unknown }
    }

    #[test]
    fn what_is_known_is_added_up_and_what_is_not_is_said_once_for_each_reason() {
        let away = Some("no broker leads it");
        let lag = GroupLag::of(
            vec![
                at("orders", 0, Some(3), None),
                at("orders", 1, None, away),
                at("orders", 2, None, away),
                at("orders", 3, None, None),
                at("orders.pay.retry.1m", 0, Some(5), None),
                at("refunds", 7, None, away),
            ],
            |topic| topic.contains(".retry."),
        );
        assert_eq!((lag.lag, lag.later, lag.partitions.len()), (3, 5, 6));
        assert_eq!(
            lag.lag_unknown,
            ["partitions 1, 2 of orders: no broker leads it", "partition 7 of refunds: no broker leads it",]
        );
    }

    #[test]
    fn what_waits_with_a_delay_that_is_not_configured_any_more_is_to_be_tried_later_too() {
        let topics = Topics {
            group: "pay".to_owned(),
            sources: ["orders".to_owned()].into(),
            redriven: ["orders.pay.redrive".to_owned()].into(),
        };
        assert!(topics.is_later("orders.pay.retry.10m"));
        for other in ["orders.pay.redrive", "orders.other.retry.10m", "refunds.pay.retry.10m", "orders"] {
            assert!(!topics.is_later(other), "{other}");
        }
    }
}
