//! What a worker notes is whole: every step of every record, also where records go in batches.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

const EVENTS: usize = 400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_of_every_record_is_noted_and_no_key_in_clear() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.jsonl");
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("TELEMETRY__EVIDENCE", path.to_str().unwrap());
    // Quick ones stay in their batch; what sleeps, fails or is refused leaves it.
    let order = |n: usize| match n % 40 {
        1 => r#","sleep_ms":5"#,
        2 => r#","fail":1"#,
        3 => r#","reject":true"#,
        _ => "",
    };
    let record = |n| Record::new(format!("key-{}", n % 50), format!(r#"{{"id":"secret-{n}"{}}}"#, order(n)));
    topic.produce_all((0..EVENTS).map(record)).await;
    let mut pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, EVENTS as i64).await;
    pod.terminate();
    assert_eq!(pod.wait(Duration::from_secs(40)).await.code(), Some(0));

    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret"), "a key in clear");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let note: Value = serde_json::from_str(line).unwrap();
        assert!(note["sequence"].as_u64().unwrap() < at as u64 + 100, "{line}");
        let text = |name: &str| note[name].as_str().unwrap_or_default().to_owned();
        *counts.entry(format!("{} {}", text("happened"), text("outcome")).trim().to_owned()).or_default() +=
            1;
    }
    let (refused, retried) = (EVENTS / 40, EVENTS / 40);
    let expected = [
        ("assigned", 1),
        ("began", EVENTS + retried),
        ("completed dead", refused),
        ("completed done", EVENTS - refused),
        ("dead_lettered rejected", refused),
        ("returned done", EVENTS - refused),
        ("returned rejected", refused),
        ("returned retry", retried),
        ("revoked", 1),
        ("settled dead_lettered", refused),
        ("settled done", EVENTS - refused),
    ];
    for (what, count) in expected {
        assert_eq!(counts.get(what), Some(&count), "{what}: {counts:?}");
    }
    assert!(counts["claimed won"] >= EVENTS + retried, "{counts:?}");
    assert!(counts["committed"] >= 1 && counts["stored"] >= 1, "{counts:?}");
}
