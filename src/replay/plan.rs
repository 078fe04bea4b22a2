//! From a range to stretches of partitions, with ends that are frozen before anything is read.

use std::{collections::BTreeSet, sync::Arc};

use super::{Bound, Order};
use crate::kafka::{KafkaClient, KafkaFault, LogReader, Stretch};

/// What will be read of one topic.
#[derive(Debug)]
pub(super) struct TopicPlan {
    /// Physical name.
    pub(super) topic: Arc<str>,
    pub(super) stretches: Vec<Stretch>,
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
            let unknown: Vec<String> = order.partitions.difference(&there).map(ToString::to_string).collect();
            if !unknown.is_empty() {
                problems.push(format!(
                    "topic {topic} has no partition {}; it has 0 to {}",
                    unknown.join(", "),
                    there.len() - 1
                ));
                continue;
            }
            let wanted = if order.partitions.is_empty() { there } else { order.partitions.clone() };
            plan.add(order, topic, reader, &wanted, &mut problems)?;
        }
        if problems.is_empty() { Ok(plan) } else { Err(PlanError::Problems(problems)) }
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
        for partition in wanted {
            let (low, high) = reader.log(*partition)?;
            let begin = match order.from {
                Bound::Offset(offset) => offset,
                // Every record is older: nothing of the range is there.
                Bound::Time(_) => begins.as_ref().and_then(|at| at.get(partition)).copied().unwrap_or(high),
            };
            // A record younger than the end may lie before one that is older: only the log's end is certain.
            let end = match order.to {
                Bound::Offset(offset) => offset.min(high),
                Bound::Time(_) if order.in_order => {
                    ends.as_ref().and_then(|at| at.get(partition)).copied().unwrap_or(high)
                }
                Bound::Time(_) => high,
            };
            if let Bound::Offset(offset) = order.from
                && offset < low
            {
                gone.push((*partition, low, end <= low));
            }
            stretches.push(Stretch { partition: *partition, begin: begin.clamp(low, high), end });
        }
        if !gone.is_empty() && gone.iter().all(|(.., all)| *all) && gone.len() == wanted.len() {
            let begins = gone.iter().map(|(partition, low, _)| format!("partition {partition} at {low}"));
            problems.push(format!(
                "nothing of the range is left in {topic}: the log begins later, {}",
                begins.collect::<Vec<_>>().join(", ")
            ));
        } else {
            self.warnings.extend(gone.iter().map(|(partition, low, _)| {
                format!("partition {partition} of {topic} begins at offset {low}: what was before it is gone")
            }));
        }
        self.topics.push(TopicPlan { topic, stretches, committed: committed.into_iter().collect(), reader });
        Ok(())
    }
}
