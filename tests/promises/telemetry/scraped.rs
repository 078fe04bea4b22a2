//! A worker as Prometheus sees it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use oncewise::telemetry::metrics::definitions::ALL;
use serde_json::Value;

use super::{
    list::{promtool, series},
    prometheus::{Prometheus, encoded},
};
use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_prometheus_reads_every_metric_with_its_labels_and_tells_of_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, out) = (TestTopic::new(1).await, TestTopic::new(1).await);
    let port = free_ports(1);
    let pods = Pods::of(topic.name(), folder.path())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .variable("ONCEWISE_TEST_PUBLISHES", out.name());
    let _pod = pods.start(TEST_WORKER);
    until("the metrics", PATIENCE, async || http::get(port, "/metrics").await).await;
    let prometheus = Prometheus::reads(port).await;

    let publishes = format!(r#"{{"id":"a","publish":[{{"topic":"{}","key":"k","value":"v"}}]}}"#, out.name());
    let events = [
        publishes.as_str(),
        r#"{"id":"a"}"#,
        r#"{"id":"b","skip":true}"#,
        r#"{"id":"c","fail":1}"#,
        r#"{"id":"d","reject":true}"#,
        "no event at all",
    ];
    topic.produce_all(events.map(|event| Record::new("k", event))).await;
    pods.commit(&topic, 6, PATIENCE).await;

    let expected =
        [("dead_lettered", 2.0), ("deferred", 0.0), ("done", 2.0), ("duplicate", 1.0), ("skipped", 1.0)];
    until("what became of the records", PATIENCE, async || {
        let mut seen = BTreeMap::new();
        for (outcome, _) in expected {
            let query = format!("oncewise_records_total{{outcome=\"{outcome}\"}}");
            seen.insert(outcome, prometheus.sum(&query).await?);
        }
        if seen == expected.into() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    // Whatever Prometheus asks for in vain, because the machine is busy, it knows nothing of until the next time.
    let retries = "oncewise_attempts_total{handler=\"obey\",outcome=\"retry\"}";
    for one in [retries, "oncewise_ready", "oncewise_store_up"] {
        until(one, PATIENCE, async || match prometheus.sum(one).await? {
            1.0 => Ok(()),
            other => Err(format!("{other}")),
        })
        .await;
    }

    let found = prometheus.get(&format!("series?match[]={}", encoded("{__name__=~\"oncewise_.+\"}"))).await;
    let labels = labels_by_name(&found.unwrap());
    for metric in ALL {
        for name in series(metric) {
            let expected: BTreeSet<&str> = metric.labels.iter().copied().collect();
            let found = labels.get(&name).unwrap_or_else(|| panic!("Prometheus has no {name}"));
            assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected, "{name}");
        }
    }

    let (_, text) = http::get(port, "/metrics").await.unwrap();
    assert_eq!(promtool(&["check", "metrics"], &text), Ok(String::new()));

    until("the alert about dead letters", PATIENCE, async || {
        let alerts = prometheus.get("alerts").await?;
        let is_ours = |alert: &Value| {
            alert["labels"]["alertname"] == "OncewiseDeadLetters"
                && alert["labels"]["service"] == pods.group.as_str()
                && alert["state"] == "firing"
        };
        let firing = alerts["alerts"].as_array().into_iter().flatten().filter(|alert| is_ours(alert)).count();
        // One rejected, one undecodable.
        if firing == 2 { Ok(()) } else { Err(alerts.to_string()) }
    })
    .await;
}

/// The labels of each series, without those that Prometheus has added.
fn labels_by_name(found: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for one in found.as_array().unwrap() {
        let one = one.as_object().unwrap();
        let own = one.keys().filter(|name| !["__name__", "instance", "job", "le"].contains(&name.as_str()));
        labels.entry(one["__name__"].as_str().unwrap().to_owned()).or_default().extend(own.cloned());
    }
    labels
}
