//! Processes that freeze, die and come back.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, all_committed},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_13_a_pod_frozen_for_less_than_its_session_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "20000")
        .with("DEDUPE__LEASE", "20s");
    let event = |n| Record::new(format!("key-{}", n % 10), format!(r#"{{"id":"event-{n}","sleep_ms":20}}"#));
    topic.produce_all((0..200).map(event)).await;
    let mut frozen = pods.start(TEST_WORKER);
    let mut other = pods.start(TEST_WORKER);
    frozen.says(": assigned ", PATIENCE).await;
    other.says(": assigned ", PATIENCE).await;
    frozen.freeze();
    tokio::time::sleep(Duration::from_secs(3)).await;
    frozen.thaw();
    all_committed(&pods.group, &topic, PATIENCE).await;
    until("every event to take effect once", PATIENCE, async || {
        let counts = pods.effects().counts();
        let once = counts.len() == 200 && counts.values().all(|count| *count == 1);
        if once { Ok(()) } else { Err(counts) }
    })
    .await;
    assert!(!frozen.output().contains("lost=true"), "its partitions were taken away");
}
