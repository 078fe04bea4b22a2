//! Groups of the newer protocol (KIP-848), where the brokers assign and nobody waits for all others; topics that grow; and
//! brokers that take little with a commit.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    TEST_WORKER,
    load::Load,
    support::{
        kafka::{Commits, Record, TestTopic, all_committed, committed},
        kafka_server::KafkaServer,
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);
const CONCURRENCY: usize = 4;
const EVENTS: usize = 600;
/// What the test brokers give members of the newer protocol.
const SESSION: Duration = Duration::from_secs(3);

async fn joined(pods: &Pods) -> Worker {
    let mut pod = pods.start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    pod
}

/// A topic of slow events, and pods of the newer protocol.
async fn backlog(folder: &std::path::Path) -> (TestTopic, Pods) {
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder)
        .soon_missed()
        .newer_protocol()
        .with("WORKER__CONCURRENCY", &CONCURRENCY.to_string());
    let event = |n| format!(r#"{{"id":"event-{n}","sleep_ms":40}}"#);
    topic.produce_all((0..EVENTS).map(|n| Record::new(format!("key-{}", n % 100), event(n)))).await;
    (topic, pods)
}

fn doubled(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().map(|count| count - 1).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_65_a_killed_member_of_the_newer_protocol_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().newer_protocol();
    let mut killed = joined(&pods).await;
    let _heir = joined(&pods).await;
    killed.says(": revoked ", PATIENCE).await;
    killed.kill_9();
    let at = Instant::now();
    let event = |n| Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}"}}"#)).to(n % 4);
    topic.produce_all((0..40).map(event)).await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    println!("newer protocol: taken over {:.1?} after a kill, session {SESSION:?}", at.elapsed());
    assert!(at.elapsed() < SESSION + Duration::from_secs(15), "{:?}", at.elapsed());
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), doubled(&counts)), (40, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_66_members_of_the_newer_protocol_come_and_go_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().newer_protocol();
    let commits = Commits::watch(&pods.group, &topic).await;
    let mut oldest = joined(&pods).await;
    let load = Load::on(&topic, &pods).await;
    for _ in 0..6 {
        let next = joined(&pods).await;
        oldest.terminate();
        assert_eq!(oldest.wait(PATIENCE).await.code(), Some(0), "{}", oldest.output());
        oldest = next;
    }
    let pause = load.ends_well(&topic, &pods).await;
    println!("newer protocol, pods come and go: longest pause of a partition {pause:.1?}");
    assert_eq!(commits.rewound().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_67_a_zombie_of_the_newer_protocol_moves_no_offset_back() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, pods) = backlog(folder.path()).await;
    let commits = Commits::watch(&pods.group, &topic).await;
    let mut zombie = joined(&pods).await;
    let _other = joined(&pods).await;
    zombie.says(": revoked ", PATIENCE).await;
    zombie.freeze();
    tokio::time::sleep(SESSION * 3).await;
    zombie.thaw();
    all_committed(&pods.group, &topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), EVENTS);
    assert!(doubled(&counts) <= CONCURRENCY, "{} of them twice", doubled(&counts));
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    assert!(zombie.ended().is_none(), "it goes on: {}", zombie.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_68_a_storm_of_members_of_the_newer_protocol_loses_nothing_and_leaves_no_stall() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, pods) = backlog(folder.path()).await;
    let commits = Commits::watch(&pods.group, &topic).await;
    let (mut pods_there, mut kills) = (vec![joined(&pods).await], 0);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        pods_there.push(pods.start(TEST_WORKER));
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut oldest = pods_there.remove(0);
        if pods_there.len() % 3 == 2 {
            oldest.kill_9();
            kills += 1;
        } else {
            oldest.terminate();
            oldest.wait(PATIENCE).await;
        }
        if pods_there.len() < 3 {
            pods_there.push(pods.start(TEST_WORKER));
        }
    }
    all_committed(&pods.group, &topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), EVENTS);
    assert!(doubled(&counts) <= kills * CONCURRENCY, "{} of them twice, {kills} kills", doubled(&counts));
    assert_eq!(commits.rewound().await, Vec::<String>::new());
}

/// A topic grows under a pod: the new partitions are read from their beginning, soon.
async fn grows(of: impl Fn(Pods) -> Pods) {
    const INTERVAL: Duration = Duration::from_secs(2);
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = of(Pods::of(topic.name(), folder.path()).soon_missed())
        .with("KAFKA__PROPERTIES__TOPIC_METADATA_REFRESH_INTERVAL_MS", "2000")
        .with("WORKER__START_FROM", "latest");
    let _pod = joined(&pods).await;
    let event = |partition, n| {
        Record::new(format!("key-{partition}"), format!(r#"{{"id":"{partition}:{n}"}}"#)).to(partition)
    };
    topic.produce_all((0..20).map(|n| event(0, n))).await;
    topic.grow(4).await;
    let grown = Instant::now();
    topic.produce_all((0..80).map(|n| event(n % 4, 100 + n))).await;
    until("everything to take effect", PATIENCE, async || match pods.effects().all().len() {
        100 => Ok(()),
        other => Err(other),
    })
    .await;
    println!("partitions added: read {:.1?} after, metadata every {INTERVAL:?}", grown.elapsed());
    assert!(grown.elapsed() < INTERVAL + Duration::from_secs(15), "{:?}", grown.elapsed());
    all_committed(&pods.group, &topic, PATIENCE).await;
    for partition in 0..4 {
        let prefix = format!("{partition}:");
        let ids: Vec<u32> = pods
            .effects()
            .all()
            .iter()
            .filter_map(|effect| effect.id.strip_prefix(&prefix)?.parse().ok())
            .collect();
        assert!(ids.is_sorted() && ids.len() >= 20, "partition {partition}: {ids:?}");
    }
    assert_eq!(doubled(&pods.effects().counts()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_partitions_that_are_added_are_read_within_the_metadata_interval() {
    grows(|pods| pods).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_29_partitions_that_are_added_are_read_with_the_newer_protocol_too() {
    grows(Pods::newer_protocol).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_72_brokers_that_take_no_metadata_get_commits_without() {
    let folder = tempfile::tempdir().unwrap();
    let kafka = KafkaServer::start_with("offset.metadata.max.bytes=8").await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create(2, &[]).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("KAFKA__BROKERS", &kafka.brokers())
        .with("RETRY__BUDGET", "30m");
    let stuck = Record::new("stuck", r#"{"id":"stuck","fail":1,"retry_after_ms":600000}"#).to(0);
    let event = |n| Record::new(format!("key-{n}"), format!(r#"{{"id":"{n}"}}"#)).to(n % 2);
    topic.produce_all([stuck]).await;
    topic.produce_all((0..40).map(event)).await;
    let mut pod = pods.start(TEST_WORKER);
    pod.says("the brokers take too little metadata", PATIENCE).await;
    topic.produce_all((40..80).map(event)).await;
    pods.until_committed(&topic, 1, 40).await;
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    let expected = BTreeMap::from([(0, (0, String::new())), (1, (40, String::new()))]);
    assert_eq!(committed(&pods.group, &topic).await, expected);
}
