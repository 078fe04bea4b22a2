//! What a member of a group subscribes to: the topics of its service, and those of ours beside them that are there. They
//! are made when they are first needed, so it is looked for them now and then.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{consumer::Consumer, error::KafkaResult, types::RDKafkaErrorCode as Code};

use super::group::{Group, GroupConsumer};

/// Between two looks for topics that may have been made.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long a look for one of them may hold up the loop that polls.
const ANSWERS: Duration = Duration::from_millis(500);

const UNSEEN: &str = "whether it is there cannot be seen: nothing that is sent to it is consumed";

/// It is not there, or was made just now.
const PASSING: [Code; 2] = [Code::UnknownTopicOrPartition, Code::LeaderNotAvailable];

#[derive(Debug)]
pub(super) struct Subscription {
    subscribed: Vec<String>,
    /// Not there yet, as far as is known.
    missing: Vec<String>,
    /// What Kafka last said instead of whether they are there, so that it is told once.
    refused: BTreeMap<String, Code>,
    next_look: Instant,
}

impl Subscription {
    /// Subscribes to what is there. Without an answer from Kafka, topics of ours count as missing for now.
    pub(super) fn begin(consumer: &GroupConsumer, group: &Group) -> KafkaResult<Self> {
        let (ours, subscribed): (Vec<_>, Vec<_>) =
            group.topics.values().partition(|topic| topic.copies_of.is_some());
        let names = |topics: Vec<_>| topics.into_iter().map(name).collect();
        let mut subscription = Self {
            subscribed: names(subscribed),
            missing: names(ours),
            refused: BTreeMap::new(),
            next_look: Instant::now(),
        };
        subscription.find(consumer);
        subscription.subscribe(consumer)?;
        Ok(subscription)
    }

    /// Looks whether what was missing is there by now.
    pub(super) fn look(&mut self, consumer: &GroupConsumer, now: Instant) -> KafkaResult<()> {
        if now < self.next_look || self.missing.is_empty() {
            return Ok(());
        }
        if self.find(consumer) { self.subscribe(consumer) } else { Ok(()) }
    }

    /// Whether something was found.
    fn find(&mut self, consumer: &GroupConsumer) -> bool {
        let before = self.missing.len();
        let mut answers = true;
        self.missing.retain(|topic| {
            if !answers {
                return true;
            }
            let Ok(metadata) = consumer.fetch_metadata(Some(topic), ANSWERS) else {
                // The others would have to be waited for just as long.
                answers = false;
                return true;
            };
            let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else {
                return true;
            };
            let why_not = found.error().map(Code::from).filter(|why| !PASSING.contains(why));
            let before = match why_not {
                Some(why) => self.refused.insert(topic.clone(), why),
                None => self.refused.remove(topic),
            };
            if before != why_not {
                tell(consumer, topic, why_not);
            }
            let is_there = found.error().is_none() && !found.partitions().is_empty();
            if is_there {
                tracing::info!(%topic, "consumed from now on");
                self.subscribed.push(topic.clone());
            }
            !is_there
        });
        self.next_look = Instant::now() + LOOK_AGAIN;
        self.missing.len() < before
    }

    fn subscribe(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        consumer.subscribe(&self.subscribed.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// What cannot be seen costs no readiness: another pod could not see it either.
fn tell(consumer: &GroupConsumer, topic: &str, why_not: Option<Code>) {
    let (health, about) = (&consumer.context().service.status.health, format!("topic {topic}"));
    let Some(why) = why_not else { return health.unnote(&about) };
    tracing::warn!(%topic, %why, "{UNSEEN}");
    health.note(&about, format!("{UNSEEN} ({why})"));
}

fn name(topic: &std::sync::Arc<crate::pipeline::Topic>) -> String {
    topic.name.to_string()
}
