//! From a range to stretches of partitions, with ends that are frozen before anything is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Bound, Order, Part, Tally};
use crate::kafka::{KafkaClient, KafkaFault, LogReader, Stretch};

/// What will be read of one topic.
#[derive(Debug)]
pub(super) struct TopicPlan {
    /// Physical name.
    pub(super) topic: Arc<str>,
    /// Where the brokers tell it.
    pub(super) topic_id: Option<String>,
    /// What can be read by now.
    pub(super) stretches: Vec<Stretch>,
    /// Where those end of which something lies behind a transaction that has not ended.
    pub(super) open: BTreeMap<i32, i64>,
    /// What the live group has committed, by partition.
    pub(super) committed: Vec<(i32, i64)>,
    pub(super) reader: LogReader,
}

/// What will be read, and what a person should know about it.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) topics: Vec<TopicPlan>,
    pub(super) warnings: Vec<String>,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlanError {
    /// What was asked for cannot be; all problems at once.
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    #[error("Kafka: {0}")]
    Kafka(#[from] KafkaFault),
}

impl TopicPlan {
    /// The same as it is written down before anything of it is read. It ends where it should, read or not.
    pub(super) fn parts(&self) -> impl Iterator<Item = Part> {
        self.stretches.iter().map(|stretch| Part {
            topic: self.topic.to_string(),
            partition: stretch.partition,
            topic_id: self.topic_id.clone(),
            begin: stretch.begin,
            end: self.open.get(&stretch.partition).copied().unwrap_or(stretch.end.max(stretch.begin)),
            at: stretch.begin,
            tally: Tally::default(),
        })
    }

    /// How many offsets cannot be read yet, by partition.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (i32, i64)> {
        self.stretches.iter().filter_map(|stretch| {
            let end = self.open.get(&stretch.partition)?;
            Some((stretch.partition, end - stretch.end.max(stretch.begin)))
        })
    }
}

impl Plan {
    /// Asks Kafka where the range lies. Blocks while it asks.
    pub(super) fn make(
        client: &KafkaClient,
        group: &str,
        order: &Order,
        topics: &[String],
    ) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        let mut problems = Vec::new();
        for topic in topics {
            let topic: Arc<str> = topic.as_str().into();
            let reader = LogReader::open(client, group, &topic)?;
            let Some(there) = reader.partitions()? else {
                problems.push(format!("topic {topic} does not exist"));
                continue;
            };
            let unknown: Vec<i32> = order.partitions.difference(&there).copied().collect();
            if !unknown.is_empty() {
                problems.push(format!(
                    "topic {topic} has no partition {}; it has 0 to {}",
                    some_of(&unknown),
                    there.len() - 1
                ));
                continue;
            }
            let wanted = if order.partitions.is_empty() { there } else { order.partitions.clone() };
            plan.add(order, topic, reader, &wanted, &mut problems)?;
        }
        if problems.is_empty() { Ok(plan) } else { Err(PlanError::Problems(problems)) }
    }

    /// What a person should know about it, this once.
    pub(super) fn take_warnings(&mut self) -> Vec<String> {
        let open = self.topics.iter().flat_map(|planned| {
            planned.unreadable().map(|(partition, open)| describe_open(&planned.topic, partition, open))
        });
        let open: Vec<String> = open.collect();
        std::mem::take(&mut self.warnings).into_iter().chain(open).collect()
    }

    fn add(
        &mut self,
        order: &Order,
        topic: Arc<str>,
        reader: LogReader,
        wanted: &BTreeSet<i32>,
        problems: &mut Vec<String>,
    ) -> Result<(), PlanError> {
        let begins = order.from.time().map(|time| reader.at(wanted, time)).transpose()?;
        let ends = order.to.time().map(|time| reader.at(wanted, time)).transpose()?;
        let committed = reader.committed(wanted)?;
        let mut stretches = Vec::new();
        let mut gone = Vec::new();
        let mut open = BTreeMap::new();
        let logs: Result<Vec<(i64, i64)>, KafkaFault> =
            wanted.iter().map(|partition| reader.log(*partition)).collect();
        // Asked after that, so that no broker which has all this lacks the end of a transaction that is told there.
        let log_ends = reader.log_ends(wanted)?;
        for (partition, (low, readable)) in wanted.iter().zip(logs?) {
            let log_end = log_ends.get(partition).copied().unwrap_or(readable).max(readable);
            let place = |bound: Bound, found: &Option<BTreeMap<i32, i64>>, none: i64| match bound {
                Bound::Offset(offset) => offset,
                // Every record is older.
                Bound::Time(_) => found.as_ref().and_then(|at| at.get(partition)).copied().unwrap_or(none),
            };
            let begin = place(order.from, &begins, readable);
            let first_after = place(order.to, &ends, log_end);
            let end = match order.to {
                // A record younger than the end may lie before one that is older: only the log's end is certain.
                Bound::Time(_) if !order.in_order => log_end,
                _ => first_after.min(log_end),
            };
            if Self::begins_before(order.from, begin, low) {
                gone.push((*partition, low, first_after <= low));
            }
            let begin = begin.clamp(low, log_end);
            if readable.max(begin) < end {
                open.insert(*partition, end);
            }
            stretches.push(Stretch { partition: *partition, begin, end: end.min(readable), log_end });
        }
        if gone.len() == wanted.len() && gone.iter().all(|(.., all)| *all) {
            let begins =
                gone.iter().map(|(partition, low, _)| format!("partition {partition} at offset {low}"));
            problems.push(format!(
                "nothing of the range is left in {topic}: its log begins later, {}",
                begins.collect::<Vec<_>>().join(", ")
            ));
        } else {
            self.warnings.extend(gone.iter().map(|(partition, low, _)| {
                format!("partition {partition} of {topic} begins at offset {low}: what was before is deleted, and may have been in the range")
            }));
        }
        let committed = committed.into_iter().collect();
        let topic_id = reader.topic_id();
        self.topics.push(TopicPlan { topic, topic_id, stretches, open, committed, reader });
        Ok(())
    }

    /// Whether a range from `from`, found at `begin`, may hold records that are not in the log any more. A time is
    /// found at the first record that is not older: where that is the first of all, older ones may have been there.
    fn begins_before(from: Bound, begin: i64, low: i64) -> bool {
        match from {
            Bound::Offset(_) => begin < low,
            Bound::Time(_) => low > 0 && begin <= low,
        }
    }
}

/// The first few of these, and how many there are besides.
fn some_of(partitions: &[i32]) -> String {
    let first: Vec<String> = partitions.iter().take(10).map(ToString::to_string).collect();
    match partitions.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// What is said of records that cannot be read yet.
pub(super) fn describe_open(topic: &str, partition: i32, open: i64) -> String {
    format!("{open} offsets of partition {partition} of {topic} lie behind a transaction that has not ended")
}
