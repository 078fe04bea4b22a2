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

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_waits_for_handlers_of_partitions_that_were_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    // A revoke waits for half of the poll interval, less than the handlers take.
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__PROPERTIES__MAX_POLL_INTERVAL_MS", "8000")
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "8000")
        .with("WORKER__DRAIN_TIMEOUT", "60s");
    let doors = ["first", "second"].map(|name| pods.door(name));
    let slow = |partition: i32| {
        let order = doors[partition as usize].order();
        Record::new("key", format!(r#"{{"id":"{partition}"{order}}}"#)).to(partition)
    };
    topic.produce_all([slow(0), slow(1)]).await;
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
    first.says("draining", PATIENCE).await;
    // The assignor moves the first partition: its handler is the one that takes longer.
    doors[1].open();
    until("the other handler", PATIENCE, async || match pods.effects().all().len() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(first.ended(), None, "one of them still runs");
    doors[0].open();
    assert_eq!(first.wait(PATIENCE).await.code(), Some(0), "{}", first.output());
    let effects: Vec<u32> = pods.effects().all().iter().map(|effect| effect.pid).collect();
    assert_eq!(effects, [first.pid(), first.pid()], "both finished before the process ended");
}
