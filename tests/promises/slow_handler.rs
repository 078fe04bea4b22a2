//! Handlers may take longer than a lease, longer than Kafka's patience, and longer than a rebalance.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, all_committed},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

fn event(id: &str, what: &str) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}",{what}}}"#))
}

/// Two pods with one of the two partitions each; the partition of the first.
async fn one_partition_each(pods: &Pods) -> (Worker, Worker, i32) {
    let (mut first, mut second) = (pods.start(TEST_WORKER), pods.start(TEST_WORKER));
    let owned = until("two pods to share two partitions", PATIENCE, async || {
        let owned = [assigned(&first), assigned(&second)];
        if owned.iter().all(|owned| owned.len() == 1) && owned[0] != owned[1] {
            Ok(owned)
        } else {
            Err(owned)
        }
    })
    .await;
    assert!(first.ended().is_none() && second.ended().is_none());
    (first, second, owned[0][0])
}

/// Whoever does not poll for eight seconds is thrown out of the group.
fn polled_each_eight_seconds(pods: Pods) -> Pods {
    ["MAX_POLL_INTERVAL_MS", "SESSION_TIMEOUT_MS"]
        .into_iter()
        .fold(pods, |pods, name| pods.with(&format!("KAFKA__PROPERTIES__{name}"), "8000"))
}

/// The partitions that a pod has, by its log.
fn assigned(pod: &Worker) -> Vec<i32> {
    let mut owned = Vec::new();
    for line in pod.output().lines().filter(|line| line.contains("partition=")) {
        let number =
            |(_, rest): (&str, &str)| rest.split_whitespace().next().and_then(|text| text.parse().ok());
        let Some(partition) = line.split_once("partition=").and_then(number) else { continue };
        if line.contains(": assigned ") {
            owned.push(partition);
        } else if line.contains(": revoked ") {
            owned.retain(|other| *other != partition);
        }
    }
    owned
}

async fn attempted(pods: &Pods, times: usize) {
    until(&format!("{times} attempts"), PATIENCE, async || {
        let attempts = pods.attempts().all();
        if attempts.len() == times { Ok(()) } else { Err(attempts) }
    })
    .await;
}

/// Every event took effect once, in one attempt, and nothing was given up.
async fn assert_once(pods: &Pods, topic: &TestTopic, ids: &[&str]) {
    for (what, lines) in [("effects", pods.effects()), ("attempts", pods.attempts())] {
        let counts: Vec<(String, usize)> = lines.counts().into_iter().collect();
        let expected: Vec<(String, usize)> = ids.iter().map(|id| ((*id).to_owned(), 1)).collect();
        assert_eq!(counts, expected, "{what}");
    }
    let letters = TestTopic::named(&format!("{}.{}.dlt", topic.name(), pods.group));
    assert_eq!(letters.read().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_sleeps_for_three_leases_keeps_its_claim() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path()).with("DEDUPE__LEASE", "2s");
    let _pods = one_partition_each(&pods).await;
    let slow = event("slow", r#""sleep_ms":6500"#);
    topic.produce_all([slow.clone().to(0), slow.to(1)]).await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_once(&pods, &topic, &["slow"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_every_thread_for_three_leases_keep_their_claims() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("DEDUPE__LEASE", "2s")
        .variable("TOKIO_WORKER_THREADS", "2");
    let (_first, _second, partition) = one_partition_each(&pods).await;
    let stubborn = ["a", "b"].map(|id| event(id, r#""block_ms":6500"#));
    topic.produce_all(stubborn.clone().map(|record| record.to(partition))).await;
    attempted(&pods, 2).await;
    topic.produce_all(stubborn.map(|record| record.to(1 - partition))).await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_once(&pods, &topic, &["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_slower_than_the_poll_interval_keeps_its_partition() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = polled_each_eight_seconds(Pods::of(topic.name(), folder.path()));
    let pod = pods.start(TEST_WORKER);
    topic.produce_all([event("slow", r#""sleep_ms":10000"#), event("blocking", r#""block_ms":10000"#)]).await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_once(&pods, &topic, &["blocking", "slow"]).await;
    let output = pod.output();
    assert_eq!(output.matches(": assigned ").count(), 1, "{output}");
    assert_eq!(output.matches(": revoked ").count(), 0, "{output}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_joins_waits_for_the_handlers_that_its_partitions_came_with() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods =
        Pods::of(topic.name(), folder.path()).with("DEDUPE__LEASE", "2s").with("WORKER__DRAIN_TIMEOUT", "1s");
    let door = pods.door("slow");
    let _first = pods.start(TEST_WORKER);
    let slow = ["a", "b"].map(|id| event(id, &door.order()[1..]));
    topic.produce_all(slow.into_iter().zip(0..).map(|(record, partition)| record.to(partition))).await;
    attempted(&pods, 2).await;
    let mut second = pods.start(TEST_WORKER);
    second.says(": assigned ", PATIENCE).await;
    assert_eq!(pods.effects().all(), [], "the second pod came while the handlers ran");
    door.open();
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_once(&pods, &topic, &["a", "b"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebalance_does_not_wait_for_handlers_so_long_that_the_membership_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = polled_each_eight_seconds(Pods::of(topic.name(), folder.path()));
    let pods = pods.with("WORKER__DRAIN_TIMEOUT", "60s");
    let first = pods.start(TEST_WORKER);
    let slow = ["a", "b"].map(|id| event(id, r#""sleep_ms":16000"#));
    topic.produce_all(slow.into_iter().zip(0..).map(|(record, partition)| record.to(partition))).await;
    attempted(&pods, 2).await;
    let _second = pods.start(TEST_WORKER);
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_once(&pods, &topic, &["a", "b"]).await;
    let output = first.output();
    let revoked: Vec<&str> = output.lines().filter(|line| line.contains(": revoked ")).collect();
    assert!(revoked.len() == 1 && revoked[0].contains("lost=false"), "{output}");
}
