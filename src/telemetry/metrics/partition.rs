//! The gauges of an assigned partition, which live as long as the assignment.

use std::time::Duration;

use prometheus::IntGauge;

use super::Metrics;

/// Service, topic and partition.
pub(super) type PartitionName = [String; 3];

/// The gauges of one partition. When the last handle of a partition is dropped its series disappear, so that a
/// revoked partition does not go on reporting the lag of its last day.
#[derive(Debug)]
pub struct PartitionMetrics {
    metrics: Metrics,
    name: PartitionName,
    lag: IntGauge,
}

impl PartitionMetrics {
    pub(super) fn assigned(metrics: Metrics, service: &str, topic: &str, partition: i32) -> Self {
        let name = [service.to_owned(), topic.to_owned(), partition.to_string()];
        // Counting handles keeps the series of a partition that is assigned again before its old handle is gone.
        let mut handles = metrics.partition_handles();
        *handles.entry(name.clone()).or_default() += 1;
        let lag = metrics.families().lag.with_label_values(&name);
        metrics.families().oldest_unsettled.with_label_values(&name).set(0.0);
        drop(handles);
        Self { metrics, name, lag }
    }

    /// Records between the committed offset and the end of the partition.
    pub fn lag(&self, records: u64) {
        self.lag.set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Age of the oldest record that is not settled: zero where nothing waits, and `None`, which is shown as no series at all,
    /// where that is not known.
    pub fn oldest_unsettled(&self, age: Option<Duration>) {
        let family = &self.metrics.families().oldest_unsettled;
        match age {
            Some(age) => family.with_label_values(&self.name).set(age.as_secs_f64()),
            // It can only fail where there is none already.
            None => drop(family.remove_label_values(&self.name)),
        }
    }
}

impl Drop for PartitionMetrics {
    fn drop(&mut self) {
        let mut handles = self.metrics.partition_handles();
        if let Some(count) = handles.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                handles.remove(&self.name);
                // Removing can only fail for series that are gone already, which is what is wanted.
                drop(self.metrics.families().lag.remove_label_values(&self.name));
                drop(self.metrics.families().oldest_unsettled.remove_label_values(&self.name));
            }
        }
    }
}
