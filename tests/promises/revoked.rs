//! A worker that stops waits for its handlers, also for those whose partition is no longer its own.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_handlers_of_partitions_that_were_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    // A revoke waits for half of the poll interval, less than the handlers take.
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__PROPERTIES__MAX_POLL_INTERVAL_MS", "4000")
        .with("WORKER__DRAIN_TIMEOUT", "30s");
    let slow = |partition, ms| {
        Record::new("key", format!(r#"{{"id":"{partition}","sleep_ms":{ms}}}"#)).to(partition)
    };
    // The assignor moves the first partition: its handler is the one that takes longer.
    topic.produce_all([slow(0, 12000), slow(1, 7000)]).await;
    let mut first = pods.start(TEST_WORKER);
    until("both handlers", PATIENCE, async || match pods.attempts().all().len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    let _second = pods.start(TEST_WORKER);
    first.says(": revoked ", PATIENCE).await;
    assert_eq!(pods.effects().all().len(), 0, "the handlers still run");
    first.terminate();
    assert_eq!(first.wait(PATIENCE).await.code(), Some(0), "{}", first.output());
    let effects: Vec<u32> = pods.effects().all().iter().map(|effect| effect.pid).collect();
    assert_eq!(effects, [first.pid(), first.pid()], "both finished before the process ended");
}
