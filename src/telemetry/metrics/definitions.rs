//! Every metric: its name, kind, labels and help text, in one list.
//!
//! Names start with `oncewise_`, units are base units, counters end in `_total`. Labels are bounded; `partition`
//! only occurs on gauges that disappear with the partition, and nothing ever carries an id, a key or an offset.

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts observations in buckets with these upper bounds, in seconds.
    Histogram(&'static [f64]),
}

/// One metric as dashboards and alerts see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Definition {
    /// The full name.
    pub name: &'static str,
    /// Counter, gauge or histogram.
    pub kind: Kind,
    /// Label names in order; where a closed set of values exists, it is the last.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
}

const CALL: &[f64] = &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
const HANDLER: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
];
const END_TO_END: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0,
    86400.0,
];

macro_rules! definitions {
    ($($constant:ident: $kind:expr, $name:literal, [$($label:literal),+], $help:literal;)+) => {
        $(#[doc = $help]
        pub const $constant: Definition =
            Definition { name: $name, kind: $kind, labels: &[$($label),+], help: $help };)+

        /// Every metric a worker exports.
        pub const ALL: &[Definition] = &[$($constant),+];
    };
}

definitions! {
    CONSUMED: Kind::Counter, "oncewise_consumed_total", ["service", "topic"],
        "Records received from Kafka, repeated deliveries included.";
    RECORDS: Kind::Counter, "oncewise_records_total", ["service", "topic", "handler", "outcome"],
        "Records settled.";
    ATTEMPTS: Kind::Counter, "oncewise_attempts_total", ["service", "topic", "handler", "outcome"],
        "Calls of a handler.";
    HANDLER_DURATION: Kind::Histogram(HANDLER), "oncewise_handler_duration_seconds", ["service", "topic", "handler"],
        "How long one call of a handler took.";
    END_TO_END_SECONDS: Kind::Histogram(END_TO_END), "oncewise_end_to_end_seconds", ["service", "topic", "handler"],
        "Time from a record's timestamp until it was settled; replays are left out.";
    DEAD_LETTERS: Kind::Counter, "oncewise_dead_letters_total", ["service", "topic", "handler", "disposition"],
        "Dead letters acknowledged by the broker.";
    PUBLISHED: Kind::Counter, "oncewise_published_total", ["service", "topic"],
        "Events out acknowledged by the broker; the topic is the one they went to.";
    DEDUPE: Kind::Counter, "oncewise_dedupe_total", ["service", "outcome"],
        "Answers of the dedupe store, one per event.";
    DEDUPE_DURATION: Kind::Histogram(CALL), "oncewise_dedupe_duration_seconds", ["service", "operation"],
        "How long one call to the dedupe store took, for a whole batch.";
    IN_FLIGHT: Kind::Gauge, "oncewise_in_flight", ["service"],
        "Records received and not yet settled.";
    IN_FLIGHT_BYTES: Kind::Gauge, "oncewise_in_flight_bytes", ["service"],
        "Bytes of the records received and not yet settled.";
    PAUSED: Kind::Gauge, "oncewise_paused", ["service", "topic", "handler"],
        "1 while operators have paused a handler on a topic, by itself or with its topic or service, and 0 otherwise.";
    LAG: Kind::Gauge, "oncewise_lag_records", ["service", "topic", "partition"],
        "Records between the committed offset and the end of the partition.";
    OLDEST_UNSETTLED: Kind::Gauge, "oncewise_oldest_unsettled_seconds", ["service", "topic", "partition"],
        "Age of the oldest record that is not settled; 0 where nothing waits, and no series where that is not known.";
    READY: Kind::Gauge, "oncewise_ready", ["service"],
        "1 while the service is ready, as /readyz says, and 0 otherwise.";
    STORE_UP: Kind::Gauge, "oncewise_store_up", ["service"],
        "1 while the dedupe store can be used, and 0 otherwise.";
    WAITING_PARTITIONS: Kind::Gauge, "oncewise_waiting_partitions", ["service"],
        "Partitions that wait for a person to decide where they go on.";
    STALLED_PARTITIONS: Kind::Gauge, "oncewise_stalled_partitions", ["service"],
        "Partitions that stand still although records wait and nothing explains it.";
    COMMITS: Kind::Counter, "oncewise_commits_total", ["service", "outcome"],
        "Commits of offsets.";
    REBALANCES: Kind::Counter, "oncewise_rebalances_total", ["service", "kind"],
        "Changes of the partitions assigned.";
    FAULTS: Kind::Counter, "oncewise_faults_total", ["service", "component"],
        "Trouble with Kafka, the store or the network; none of it settles a record or spends an attempt.";
    BREAKER_STATE: Kind::Gauge, "oncewise_breaker_state", ["service", "handler"],
        "0 while a handler's breaker is closed, 1 while it is half open, 2 while it is open.";
    BREAKER_OPENED: Kind::Counter, "oncewise_breaker_opened_total", ["service", "handler"],
        "How often a handler's breaker has opened.";
    BUILD_INFO: Kind::Gauge, "oncewise_build_info", ["version"],
        "Always 1; the label names the version that runs.";
}
