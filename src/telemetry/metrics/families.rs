//! The metrics of the list as registered families, and counters resolved for every value of a closed label.

use std::marker::PhantomData;

use prometheus::core::Collector;
use prometheus::{
    GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::definitions::{self as list, Definition, Kind};
use super::labels::Label;

#[derive(Debug)]
pub(super) struct Families {
    pub(super) consumed: IntCounterVec,
    pub(super) records: IntCounterVec,
    pub(super) attempts: IntCounterVec,
    pub(super) handler_duration: HistogramVec,
    pub(super) end_to_end: HistogramVec,
    pub(super) dead_letters: IntCounterVec,
    pub(super) published: IntCounterVec,
    pub(super) dedupe: IntCounterVec,
    pub(super) dedupe_duration: HistogramVec,
    pub(super) in_flight: IntGaugeVec,
    pub(super) in_flight_bytes: IntGaugeVec,
    pub(super) paused: IntGaugeVec,
    pub(super) lag: IntGaugeVec,
    pub(super) oldest_unsettled: GaugeVec,
    pub(super) ready: IntGaugeVec,
    pub(super) store_up: IntGaugeVec,
    pub(super) waiting_partitions: IntGaugeVec,
    pub(super) stalled_partitions: IntGaugeVec,
    pub(super) commits: IntCounterVec,
    pub(super) rebalances: IntCounterVec,
    pub(super) faults: IntCounterVec,
    pub(super) breaker_state: IntGaugeVec,
    pub(super) breaker_opened: IntCounterVec,
    pub(super) build_info: IntGaugeVec,
}

impl Families {
    pub(super) fn register(registry: &Registry) -> Self {
        let counters =
            |metric: Definition| registered(registry, IntCounterVec::new(opts(metric), metric.labels));
        let gauges = |metric: Definition| registered(registry, IntGaugeVec::new(opts(metric), metric.labels));
        let histograms = |metric: Definition| {
            registered(registry, HistogramVec::new(histogram_opts(metric), metric.labels))
        };
        Self {
            consumed: counters(list::CONSUMED),
            records: counters(list::RECORDS),
            attempts: counters(list::ATTEMPTS),
            handler_duration: histograms(list::HANDLER_DURATION),
            end_to_end: histograms(list::END_TO_END_SECONDS),
            dead_letters: counters(list::DEAD_LETTERS),
            published: counters(list::PUBLISHED),
            dedupe: counters(list::DEDUPE),
            dedupe_duration: histograms(list::DEDUPE_DURATION),
            in_flight: gauges(list::IN_FLIGHT),
            in_flight_bytes: gauges(list::IN_FLIGHT_BYTES),
            paused: gauges(list::PAUSED),
            lag: gauges(list::LAG),
            oldest_unsettled: registered(
                registry,
                GaugeVec::new(opts(list::OLDEST_UNSETTLED), list::OLDEST_UNSETTLED.labels),
            ),
            ready: gauges(list::READY),
            store_up: gauges(list::STORE_UP),
            waiting_partitions: gauges(list::WAITING_PARTITIONS),
            stalled_partitions: gauges(list::STALLED_PARTITIONS),
            commits: counters(list::COMMITS),
            rebalances: counters(list::REBALANCES),
            faults: counters(list::FAULTS),
            breaker_state: gauges(list::BREAKER_STATE),
            breaker_opened: counters(list::BREAKER_OPENED),
            build_info: gauges(list::BUILD_INFO),
        }
    }
}

fn opts(metric: Definition) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn histogram_opts(metric: Definition) -> HistogramOpts {
    let buckets = match metric.kind {
        Kind::Histogram(bounds) => bounds.to_vec(),
        Kind::Counter | Kind::Gauge => Vec::new(),
    };
    HistogramOpts::from(opts(metric)).buckets(buckets)
}

#[expect(
    clippy::expect_used,
    reason = "the list is constant, and every test of the metrics registers all of it"
)]
fn registered<C: Collector + Clone + 'static>(registry: &Registry, family: prometheus::Result<C>) -> C {
    let family = family.expect("a definition in the list is well formed");
    registry.register(Box::new(family.clone())).expect("names in the list are unique");
    family
}

/// One counter for each value of a closed label, resolved once, so that counting looks nothing up.
#[derive(Debug)]
pub(super) struct Counters<L> {
    by_index: Vec<IntCounter>,
    label: PhantomData<L>,
}

impl<L: Label> Counters<L> {
    /// `labels` are the values before the closed label, which is the last.
    pub(super) fn resolve(family: &IntCounterVec, labels: &[&str]) -> Self {
        let resolve = |value: &L| family.with_label_values(&[labels, &[value.as_str()]].concat());
        Self { by_index: L::ALL.iter().map(resolve).collect(), label: PhantomData }
    }

    pub(super) fn of(&self, value: L) -> &IntCounter {
        &self.by_index[value.index()]
    }
}
