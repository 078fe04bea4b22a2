//! How far a group is, by the brokers' word: true also where no pod lives.

use std::sync::Arc;

use serde::Serialize;

use crate::kafka::{KafkaClient, KafkaFault, LogReader};

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

/// All partitions of those of these topics that are there. Blocks, so it must not run where async code does.
///
/// # Errors
/// Nobody answers.
pub(crate) fn lag_of(
    kafka: &KafkaClient,
    group: &str,
    topics: &[String],
) -> Result<Vec<PartitionLag>, KafkaFault> {
    let mut lag = Vec::new();
    for topic in topics {
        let reader = LogReader::open(kafka, group, &Arc::from(topic.as_str()))?;
        let Some(partitions) = reader.partitions()? else { continue };
        let committed = reader.committed(&partitions)?;
        for (partition, end) in reader.log_ends(&partitions)? {
            let committed = committed.get(&partition).copied();
            let lag_of_it = committed.map(|committed| (end - committed).max(0));
            lag.push(PartitionLag { topic: topic.clone(), partition, committed, end, lag: lag_of_it });
        }
    }
    lag.sort_by(|one: &PartitionLag, other| {
        (&one.topic, one.partition).cmp(&(&other.topic, other.partition))
    });
    Ok(lag)
}
