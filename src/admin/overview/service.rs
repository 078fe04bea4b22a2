//! One service at one moment, its handlers and its partitions.

use std::collections::BTreeMap;

use serde::Serialize;

use super::findings::Finding;
use crate::{
    kafka::Seen,
    telemetry::metrics::{Reading, definitions as list, whole},
};

/// Counts by the value of one label, those at zero left out.
pub(super) type Counts = BTreeMap<String, u64>;

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct ServiceNow {
    pub(super) name: String,
    pub(super) group: String,
    /// `starting`, `working`, `paused`, `degraded` or `stopping`.
    pub(super) state: &'static str,
    /// The most important first.
    pub(super) findings: Vec<Finding>,
    pub(super) lag_records: u64,
    /// 0 where nothing waits, and nothing where something does and its age is not known.
    pub(super) oldest_unsettled_seconds: Option<f64>,
    pub(super) in_flight: u64,
    pub(super) in_flight_bytes: u64,
    /// Over the last minute; `None` before there are two samples.
    pub(super) settled_per_second: Option<f64>,
    pub(super) consumed: u64,
    pub(super) records: Counts,
    pub(super) attempts: Counts,
    pub(super) dead_letters: Counts,
    pub(super) dedupe: Counts,
    pub(super) faults: Counts,
    pub(super) commits: Counts,
    pub(super) rebalances: Counts,
    /// Who has paused what, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paused: Option<bool>,
    pub(super) handlers: Vec<HandlerNow>,
    pub(super) partitions: Vec<PartitionNow>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct HandlerNow {
    pub(super) topic: String,
    pub(super) name: String,
    pub(super) records: Counts,
    pub(super) attempts: Counts,
    pub(super) dead_letters: Counts,
    /// Of all attempts so far; `None` before the first.
    pub(super) mean_seconds: Option<f64>,
    /// `closed`, `half-open` or `open`, where there is a breaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) breaker: Option<&'static str>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct PartitionNow {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) end: Option<i64>,
    pub(super) committed: Option<i64>,
    pub(super) watermark: Option<i64>,
    /// Records between the committed offset and the end; `None` where one of them is not known.
    pub(super) lag_records: Option<u64>,
    pub(super) in_flight: usize,
    /// As that of the service.
    pub(super) oldest_unsettled_seconds: Option<f64>,
    /// Somebody has paused it, or a handler of its topic.
    pub(super) paused: bool,
    /// Why nothing comes from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waits: Option<String>,
}

impl ServiceNow {
    /// What its metrics and its partitions say.
    pub(super) fn of(name: &str, group: &str, seen: Vec<Seen>, reading: &Reading) -> Self {
        let of = [("service", name)];
        let by = |metric: list::Definition, label: &str| reading.by(metric.name, &of, label);
        let count = |metric: list::Definition| whole(reading.sum(metric.name, &of).unwrap_or_default());
        let is_paused = |topic: &str| {
            reading.sum(list::PAUSED.name, &[of[0], ("topic", topic)]).is_some_and(|paused| paused > 0.0)
        };
        let partition =
            |seen: Seen| PartitionNow { paused: is_paused(&seen.topic), ..PartitionNow::of(seen) };
        let partitions: Vec<PartitionNow> = seen.into_iter().map(partition).collect();
        Self {
            name: name.to_owned(),
            group: group.to_owned(),
            lag_records: partitions.iter().filter_map(|partition| partition.lag_records).sum(),
            oldest_unsettled_seconds: oldest(&partitions),
            in_flight: count(list::IN_FLIGHT),
            in_flight_bytes: count(list::IN_FLIGHT_BYTES),
            consumed: count(list::CONSUMED),
            records: by(list::RECORDS, "outcome"),
            attempts: by(list::ATTEMPTS, "outcome"),
            dead_letters: by(list::DEAD_LETTERS, "disposition"),
            dedupe: by(list::DEDUPE, "outcome"),
            faults: by(list::FAULTS, "component"),
            commits: by(list::COMMITS, "outcome"),
            rebalances: by(list::REBALANCES, "kind"),
            paused: reading.sum(list::PAUSED.name, &of).map(|paused| paused > 0.0),
            partitions,
            ..Self::default()
        }
    }
}

impl HandlerNow {
    pub(super) fn of(service: &str, topic: &str, name: &str, reading: &Reading) -> Self {
        let of = [("service", service), ("topic", topic), ("handler", name)];
        let (attempts, seconds) = reading.observed(list::HANDLER_DURATION.name, &of);
        #[expect(clippy::cast_precision_loss, reason = "a mean needs no more digits")]
        let mean_seconds = (attempts > 0).then(|| seconds / attempts as f64);
        let breaker = reading.sum("oncewise_breaker_state", &[of[0], of[2]]);
        Self {
            topic: topic.to_owned(),
            name: name.to_owned(),
            records: reading.by(list::RECORDS.name, &of, "outcome"),
            attempts: reading.by(list::ATTEMPTS.name, &of, "outcome"),
            dead_letters: reading.by(list::DEAD_LETTERS.name, &of, "disposition"),
            mean_seconds,
            breaker: breaker
                .map(|state| ["closed", "half-open", "open"][usize::min(whole(state) as usize, 2)]),
        }
    }
}

impl PartitionNow {
    fn of(seen: Seen) -> Self {
        let done = seen.committed.or(seen.watermark);
        let lag = seen.end.zip(done).map(|(end, done)| u64::try_from(end - done).unwrap_or(0));
        Self {
            topic: seen.topic,
            partition: seen.partition,
            end: seen.end,
            committed: seen.committed,
            watermark: seen.watermark,
            lag_records: lag,
            in_flight: seen.unsettled,
            oldest_unsettled_seconds: seen.oldest.age().map(|age| age.as_secs_f64()),
            paused: false,
            waits: seen.waits,
        }
    }
}

/// The age of the oldest record of all of them, as far as it is known.
fn oldest(partitions: &[PartitionNow]) -> Option<f64> {
    let known = partitions.iter().filter_map(|partition| partition.oldest_unsettled_seconds);
    let oldest = known.clone().fold(0.0, f64::max);
    (oldest > 0.0 || known.count() == partitions.len()).then_some(oldest)
}

/// All of these counts together.
pub(super) fn total(counts: &Counts) -> u64 {
    counts.values().sum()
}

/// Attempts that have to be made again.
pub(super) fn retries(attempts: &Counts) -> u64 {
    ["retry", "timed_out", "panicked"].iter().filter_map(|outcome| attempts.get(*outcome)).sum()
}
