use std::collections::BTreeSet;
use std::time::Duration;

use super::definitions::{ALL, Kind};
use super::*;
use crate::telemetry::Health;

const SECOND: Duration = Duration::from_secs(1);

/// One of each happening, and handles that keep the gauges of partitions alive.
fn one_of_each(metrics: &Metrics) -> PartitionMetrics {
    let service = metrics.service("payments");
    let handler = metrics.handler("payments", "orders.created", "charge");
    service.consumed("orders.created").inc();
    service.published("payments.settled");
    service.paused("orders.created", "charge", false);
    metrics.breaker("payments", "charge").opened();
    Outcome::ALL.iter().for_each(|outcome| handler.settled(*outcome, [Some(SECOND)]));
    AttemptOutcome::ALL.iter().for_each(|outcome| handler.attempts(*outcome, &[SECOND]));
    Disposition::ALL.iter().for_each(|disposition| handler.dead_letter(*disposition));
    DedupeOutcome::ALL.iter().for_each(|outcome| service.dedupe(*outcome, 1));
    DedupeOperation::ALL.iter().for_each(|operation| service.dedupe_call(*operation, SECOND));
    CommitOutcome::ALL.iter().for_each(|outcome| service.commit(*outcome));
    RebalanceKind::ALL.iter().for_each(|kind| service.rebalance(*kind));
    Component::ALL.iter().for_each(|component| service.fault(*component));
    let health = Health::default();
    health.service("payments").joined(true);
    metrics.state(&health.snapshot());
    let partition = service.partition("orders.created", 3);
    partition.lag(7);
    partition.oldest_unsettled(Some(SECOND));
    partition
}

#[test]
fn the_list_is_exactly_what_is_gathered() {
    let metrics = Metrics::new();
    let _partition = one_of_each(&metrics);
    let gathered = metrics.registry().gather();
    let names: BTreeSet<_> = gathered.iter().map(|family| family.name()).collect();
    assert_eq!(names, ALL.iter().map(|metric| metric.name).collect());
    for metric in ALL {
        let family = gathered.iter().find(|family| family.name() == metric.name).unwrap();
        assert_eq!(family.help(), metric.help);
        for series in family.get_metric() {
            let labels: BTreeSet<_> = series.get_label().iter().map(|label| label.name()).collect();
            assert_eq!(labels, metric.labels.iter().copied().collect(), "{}", metric.name);
        }
    }
}

#[test]
fn every_value_of_every_closed_label_counts_by_itself() {
    let metrics = Metrics::new();
    let _partition = one_of_each(&metrics);
    for family in metrics.registry().gather() {
        let metric = ALL.iter().find(|metric| metric.name == family.name()).unwrap();
        if metric.kind == Kind::Counter {
            for series in family.get_metric() {
                assert_eq!(series.get_counter().get_value(), 1.0, "{} {:?}", metric.name, series.get_label());
            }
        }
    }
}

#[test]
fn names_and_labels_keep_the_conventions() {
    let allowed = BTreeSet::from([
        "service",
        "topic",
        "handler",
        "outcome",
        "disposition",
        "component",
        "operation",
        "kind",
        "partition",
        "version",
    ]);
    for metric in ALL {
        let name = metric.name;
        let rest = name.strip_prefix("oncewise_").unwrap();
        assert!(
            !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
            "{name}"
        );
        assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
        assert!(!metric.help.is_empty(), "{name}");
        assert!(metric.labels.iter().all(|label| allowed.contains(label)), "{name} {:?}", metric.labels);
        if metric.labels.contains(&"partition") {
            assert_eq!(metric.kind, Kind::Gauge, "{name}");
        }
        if let Kind::Histogram(bounds) = metric.kind {
            assert!(name.ends_with("_seconds"), "{name}");
            assert!(bounds.is_sorted() && bounds[0] > 0.0, "{name}");
        }
    }
}

#[test]
fn the_documented_formats_are_kept() {
    let labels = |name: &str| ALL.iter().find(|metric| metric.name == name).unwrap().labels;
    assert_eq!(labels("oncewise_records_total"), ["service", "topic", "handler", "outcome"]);
    assert_eq!(labels("oncewise_dedupe_total"), ["service", "outcome"]);
    assert_eq!(labels("oncewise_lag_records"), ["service", "topic", "partition"]);
    assert_eq!(labels("oncewise_oldest_unsettled_seconds"), ["service", "topic", "partition"]);
    assert_eq!(labels("oncewise_faults_total"), ["service", "component"]);
    assert_eq!(
        Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect::<Vec<_>>(),
        ["done", "skipped", "duplicate", "deferred", "dead_lettered"]
    );
    assert_eq!(
        Disposition::ALL.iter().map(|disposition| disposition.as_str()).collect::<Vec<_>>(),
        ["rejected", "exhausted", "undecodable", "no-key", "mismatch", "no-handler", "too-large", "operator"]
    );
}

#[test]
fn totals_sum_over_topics_and_handlers_of_one_service_only() {
    let metrics = Metrics::new();
    let payments = metrics.service("payments");
    for (topic, handler) in [("orders.created", "charge"), ("orders.cancelled", "refund")] {
        let handler = metrics.handler("payments", topic, handler);
        payments.consumed(topic).inc_by(6);
        for (times, outcome) in Outcome::ALL.iter().enumerate() {
            (0..=times).for_each(|_| handler.settled(*outcome, [None]));
        }
    }
    metrics.handler("orders", "orders.created", "write").settled(Outcome::Done, [None]);
    metrics.service("orders").consumed("orders.created").inc();

    let totals = payments.totals();
    let expected = Totals {
        consumed: 12,
        done: 2,
        skipped: 4,
        duplicate: 6,
        deferred: 8,
        dead_lettered: 10,
        attempts: 0,
    };
    assert_eq!(totals, expected);
    assert_eq!(totals.settled(), 30);
    assert_eq!(metrics.service("shipping").totals(), Totals::default());
}

#[test]
fn a_revoked_partition_stops_reporting() {
    let metrics = Metrics::new();
    let service = metrics.service("payments");
    let first = service.partition("orders.created", 3);
    let other = service.partition("orders.created", 4);
    first.lag(7);
    let again = service.partition("orders.created", 3);
    drop(first);
    let line = "oncewise_lag_records{partition=\"3\",service=\"payments\",topic=\"orders.created\"} 7";
    assert!(
        metrics.render().unwrap().contains(line),
        "an assignment that came before the old one went keeps it"
    );
    drop(again);
    let text = metrics.render().unwrap();
    assert!(!text.contains("partition=\"3\""), "{text}");
    assert!(text.contains("partition=\"4\""), "{text}");
    drop(other);
    assert!(!metrics.render().unwrap().contains("partition="));
}

#[test]
fn in_flight_falls_back_when_the_accounts_go() {
    let metrics = Metrics::new();
    let service = metrics.service("payments");
    let mut accounts = [service.in_flight(), service.in_flight()];
    accounts[0].add(2, 110);
    accounts[1].add(1, 28);
    accounts[0].remove(1, 10);
    let text = metrics.render().unwrap();
    assert!(text.contains("oncewise_in_flight{service=\"payments\"} 2\n"), "{text}");
    assert!(text.contains("oncewise_in_flight_bytes{service=\"payments\"} 128\n"), "{text}");
    drop(accounts);
    let text = metrics.render().unwrap();
    assert!(text.contains("oncewise_in_flight{service=\"payments\"} 0\n"), "{text}");
    assert!(text.contains("oncewise_in_flight_bytes{service=\"payments\"} 0\n"), "{text}");
}

#[test]
fn two_processes_in_one_test_share_nothing() {
    let (one, other) = (Metrics::new(), Metrics::new());
    one.handler("payments", "orders.created", "charge").settled(Outcome::Done, [None]);
    assert_eq!(other.service("payments").totals().done, 0);
    assert_eq!(one.clone().service("payments").totals().done, 1);
}

#[test]
fn series_exist_at_zero_before_anything_happens() {
    let metrics = Metrics::new();
    let _handler = metrics.handler("payments", "orders.created", "charge");
    let text = metrics.render().unwrap();
    assert!(
        text.contains("outcome=\"dead_lettered\",service=\"payments\",topic=\"orders.created\"} 0\n"),
        "{text}"
    );
}
