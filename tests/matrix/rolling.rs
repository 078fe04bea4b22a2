//! Four pods of one service are restarted one after the other while records come.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    load::Load,
    support::{
        kafka::{Commits, TestTopic},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);
const PODS: usize = 4;
const PARTITIONS: i32 = 8;
/// The longest that a partition may go without an effect.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

async fn joined(pods: &Pods) -> Worker {
    let mut pod = pods.start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    pod
}

/// Restarts each pod once; `of` makes its settings from those that all have in common.
async fn restart_one_after_the_other(what: &str, of: impl Fn(&Pods, usize) -> Pods) {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(PARTITIONS).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "20000")
        .with("KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", "500");
    let mut running = Vec::new();
    for number in 0..PODS {
        running.push(joined(&of(&pods, number)).await);
    }
    let commits = Commits::watch(&pods.group, &topic).await;
    let load = Load::on(&topic, &pods).await;
    for (number, pod) in running.iter_mut().enumerate() {
        pod.terminate();
        assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
        *pod = joined(&of(&pods, number)).await;
    }
    let pause = load.ends_well(&topic, &pods).await;
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    println!("rolling restart, {what}: longest pause of a partition {pause:.1?}");
    assert!(pause < LONGEST_PAUSE, "a partition stood still for {pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_69_a_rolling_restart_loses_and_doubles_nothing() {
    restart_one_after_the_other("members that leave", |pods, _| pods.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_69_a_rolling_restart_of_named_pods_loses_and_doubles_nothing() {
    let named = |pods: &Pods, number| pods.clone().named(&format!("pod-{number}"));
    restart_one_after_the_other("named members", named).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_69_a_rolling_restart_with_the_newer_protocol_loses_and_doubles_nothing() {
    restart_one_after_the_other("newer protocol", |pods, _| pods.clone().newer_protocol()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_34_a_store_that_forgets_at_every_hand_over_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (redis, topic) = (RedisServer::start(false).await, TestTopic::new(PARTITIONS).await);
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("REDIS__URL", &redis.url());
    let mut oldest = joined(&pods).await;
    let load = Load::on(&topic, &pods).await;
    for _ in 0..PODS {
        // Before partitions move, and before they move again.
        redis.flush().await;
        let next = joined(&pods).await;
        redis.flush().await;
        oldest.terminate();
        assert_eq!(oldest.wait(PATIENCE).await.code(), Some(0), "{}", oldest.output());
        oldest = next;
    }
    load.ends_well(&topic, &pods).await;
}
