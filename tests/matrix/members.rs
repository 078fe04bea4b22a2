//! Pods that keep their names in the group.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, all_committed},
        pod::Pods,
        process::Worker,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);

async fn joined(pods: &Pods) -> Worker {
    let mut pod = pods.start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    pod
}

/// How often it was assigned and lost a partition.
fn changes(pod: &Worker) -> (usize, usize) {
    let output = pod.output();
    (output.matches(": assigned ").count(), output.matches(": revoked ").count())
}

fn events(from: usize) -> impl Iterator<Item = Record> {
    (from..from + 80).map(|n| {
        Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":10}}"#)).to(n as i32 % 4)
    })
}

async fn once(pods: &Pods, topic: &TestTopic, events: usize) {
    all_committed(&pods.group, topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), counts.values().sum::<usize>()), (events, events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_70_a_named_pod_that_comes_back_has_its_partitions_and_the_others_keep_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "20000");
    let mut first = joined(&pods.clone().named("pod-0")).await;
    let second = joined(&pods.clone().named("pod-1")).await;
    first.says(": revoked ", PATIENCE).await;
    topic.produce_all(events(0)).await;
    once(&pods, &topic, 80).await;
    let before = changes(&second);

    first.terminate();
    assert_eq!(first.wait(PATIENCE).await.code(), Some(0), "{}", first.output());
    topic.produce_all(events(80)).await;
    let mut first = joined(&pods.clone().named("pod-0")).await;
    once(&pods, &topic, 160).await;
    assert_eq!(changes(&second), before, "{}", second.output());

    // Gone for good, it is missed when its session is over.
    first.terminate();
    first.wait(PATIENCE).await;
    let gone = Instant::now();
    topic.produce_all(events(160)).await;
    once(&pods, &topic, 240).await;
    println!("a named pod that does not come back: taken over after {:.1?}", gone.elapsed());
    assert!(gone.elapsed() > Duration::from_secs(10), "it has left the group");
    assert!(changes(&second) > before);
}

/// Starts two pods of one name; answers with the first and the second.
async fn namesakes(folder: &Path, of: impl Fn(Pods) -> Pods) -> (Worker, Worker) {
    let topic = TestTopic::new(1).await;
    let pods = of(Pods::of(topic.name(), folder).soon_missed()).named("pod-0");
    let first = joined(&pods).await;
    (first, pods.start(TEST_WORKER))
}

async fn ends_and_says_why(pod: &mut Worker) {
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(1), "{}", pod.output());
    let why = "another member of the group has the same worker.instance_id";
    assert!(pod.output().contains(why), "{}", pod.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_71_of_two_pods_with_one_name_the_older_ends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (mut older, mut younger) = namesakes(folder.path(), |pods| pods).await;
    ends_and_says_why(&mut older).await;
    younger.says(": assigned ", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_71_with_the_newer_protocol_the_younger_ends_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let (mut older, mut younger) = namesakes(folder.path(), Pods::newer_protocol).await;
    ends_and_says_why(&mut younger).await;
    assert!(older.ended().is_none(), "{}", older.output());
}
