//! What is counted per service.

use std::sync::Arc;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, IntCounter, IntGauge};

use super::Metrics;
use super::families::Counters;
use super::labels::{
    CommitOutcome, Component, DedupeOperation, DedupeOutcome, Label, Outcome, RebalanceKind,
};
use super::partition::PartitionMetrics;

/// The counters of one service, resolved once; cheap to clone, and counting takes no lock.
#[derive(Debug, Clone)]
pub struct ServiceMetrics(Arc<Resolved>);

#[derive(Debug)]
struct Resolved {
    service: String,
    metrics: Metrics,
    dedupe: Counters<DedupeOutcome>,
    dedupe_duration: Vec<Histogram>,
    in_flight: IntGauge,
    in_flight_bytes: IntGauge,
    commits: Counters<CommitOutcome>,
    rebalances: Counters<RebalanceKind>,
    faults: Counters<Component>,
}

impl ServiceMetrics {
    pub(super) fn resolve(metrics: Metrics, service: &str) -> Self {
        let families = metrics.families();
        let duration = |operation: &DedupeOperation| {
            families.dedupe_duration.with_label_values(&[service, operation.as_str()])
        };
        Self(Arc::new(Resolved {
            service: service.to_owned(),
            dedupe: Counters::resolve(&families.dedupe, &[service]),
            dedupe_duration: DedupeOperation::ALL.iter().map(duration).collect(),
            in_flight: families.in_flight.with_label_values(&[service]),
            in_flight_bytes: families.in_flight_bytes.with_label_values(&[service]),
            commits: Counters::resolve(&families.commits, &[service]),
            rebalances: Counters::resolve(&families.rebalances, &[service]),
            faults: Counters::resolve(&families.faults, &[service]),
            metrics,
        }))
    }

    /// The counter of records received from `topic`, for the source to resolve once and to increment.
    #[must_use]
    pub fn consumed(&self, topic: &str) -> IntCounter {
        self.0.metrics.families().consumed.with_label_values(&[&self.0.service, topic])
    }

    /// The broker has acknowledged an event out to `topic`.
    pub fn published(&self, topic: &str) {
        self.0.metrics.families().published.with_label_values(&[&self.0.service, topic]).inc();
    }

    /// The gauges of an assigned partition; they disappear when the handle is dropped.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> PartitionMetrics {
        PartitionMetrics::assigned(self.0.metrics.clone(), &self.0.service, topic, partition)
    }

    /// An account of what is in flight somewhere, with nothing on it.
    pub fn in_flight(&self) -> InFlight {
        InFlight { service: self.clone(), records: 0, bytes: 0 }
    }

    /// The dedupe store gave `events` times the same answer.
    pub fn dedupe(&self, outcome: DedupeOutcome, events: u64) {
        self.0.dedupe.of(outcome).inc_by(events);
    }

    /// One call to the dedupe store, for however many events, took `took`.
    pub fn dedupe_call(&self, operation: DedupeOperation, took: Duration) {
        self.0.dedupe_duration[operation.index()].observe(took.as_secs_f64());
    }

    /// Whether operators have paused this handler on this topic.
    pub fn paused(&self, topic: &str, handler: &str, is_paused: bool) {
        let family = &self.0.metrics.families().paused;
        family.with_label_values(&[&self.0.service, topic, handler]).set(is_paused.into());
    }

    /// One commit of offsets has ended.
    pub fn commit(&self, outcome: CommitOutcome) {
        self.0.commits.of(outcome).inc();
    }

    /// The assignment has changed.
    pub fn rebalance(&self, kind: RebalanceKind) {
        self.0.rebalances.of(kind).inc();
    }

    /// Something outside has failed; it will be tried again.
    pub fn fault(&self, component: Component) {
        self.0.faults.of(component).inc();
    }

    /// The service's records so far, over all topics and handlers.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let families = self.0.metrics.families();
        Totals {
            consumed: self.sum(&families.consumed, None),
            done: self.sum(&families.records, Some(Outcome::Done)),
            skipped: self.sum(&families.records, Some(Outcome::Skipped)),
            duplicate: self.sum(&families.records, Some(Outcome::Duplicate)),
            deferred: self.sum(&families.records, Some(Outcome::Deferred)),
            dead_lettered: self.sum(&families.records, Some(Outcome::DeadLettered)),
            attempts: self.sum(&families.attempts, None),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counters are whole and below 2^53"
    )]
    fn sum(&self, family: &impl Collector, outcome: Option<Outcome>) -> u64 {
        let wanted = |name: &str, value: &str| match name {
            "service" => value == self.0.service,
            "outcome" => outcome.is_none_or(|outcome| value == outcome.as_str()),
            _ => true,
        };
        let families = family.collect();
        let series = families.iter().flat_map(|family| family.get_metric());
        series
            .filter(|series| series.get_label().iter().all(|label| wanted(label.name(), label.value())))
            .map(|series| series.get_counter().get_value() as u64)
            .sum()
    }
}

/// Records in flight; those that are left when it is dropped are in flight no more.
#[derive(Debug)]
pub struct InFlight {
    service: ServiceMetrics,
    records: i64,
    bytes: i64,
}

impl InFlight {
    /// So many more are.
    pub fn add(&mut self, records: usize, bytes: usize) {
        self.change(signed(records), signed(bytes));
    }

    /// So many are settled or handed over.
    pub fn remove(&mut self, records: usize, bytes: usize) {
        self.change(-signed(records), -signed(bytes));
    }

    fn change(&mut self, records: i64, bytes: i64) {
        self.records += records;
        self.bytes += bytes;
        self.service.0.in_flight.add(records);
        self.service.0.in_flight_bytes.add(bytes);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.change(-self.records, -self.bytes);
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A service's records by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Received from Kafka, counted by the source and by nobody else. A record delivered again after a rebalance
    /// counts again here and may be settled only once.
    pub consumed: u64,
    /// Handled now.
    pub done: u64,
    /// Not wanted.
    pub skipped: u64,
    /// Handled before.
    pub duplicate: u64,
    /// Moved to a retry topic.
    pub deferred: u64,
    /// Moved to a dead-letter topic.
    pub dead_lettered: u64,
    /// Calls of handlers; one event may take several.
    pub attempts: u64,
}

impl Totals {
    /// The sum over all outcomes; equal to `consumed` once nothing is in flight and nothing was delivered twice.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.done + self.skipped + self.duplicate + self.deferred + self.dead_lettered
    }
}
