//! An event takes effect once, however often and wherever it is delivered.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        wait::until,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_over_partitions_and_pods_take_effect_once() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path());
    let records =
        (0..400).map(|n| Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{}"}}"#, n % 100)));
    topic.produce_all(records).await;
    let _pods = [pods.start(TEST_WORKER), pods.start(TEST_WORKER)];
    until("all 400 records are committed", Duration::from_secs(60), async || {
        let committed = committed(&pods.group, &topic).await;
        let sum: i64 = committed.values().map(|(offset, _)| offset).sum();
        if sum == 400 { Ok(()) } else { Err(committed) }
    })
    .await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), 100);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}
