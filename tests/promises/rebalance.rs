//! Pods come and go; records stay, and committed offsets only move on.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Commits, Record, TestTopic, all_committed, group_lag},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);
const EVENTS: usize = 1200;
const CONCURRENCY: usize = 4;

/// A topic of slow events and the recipe for its pods.
async fn load(folder: &std::path::Path) -> (TestTopic, Pods) {
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder).with("WORKER__CONCURRENCY", &CONCURRENCY.to_string());
    let event = |n| format!(r#"{{"id":"event-{n}","sleep_ms":80}}"#);
    topic.produce_all((0..EVENTS).map(|n| Record::new(format!("key-{}", n % 100), event(n)))).await;
    (topic, pods)
}

async fn joined(pods: &Pods) -> Worker {
    let mut pod = pods.start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    pod
}

async fn assert_no_lag(pods: &Pods) {
    let lag = group_lag(&pods.group).await;
    assert_eq!(lag.iter().map(|line| line.lag).collect::<Vec<_>>(), [Some(0); 4], "{lag:?}");
}

fn doubled(counts: &BTreeMap<String, usize>) -> usize {
    counts.values().map(|count| count - 1).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_come_and_go_politely_lose_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, pods) = load(folder.path()).await;
    let commits = Commits::watch(&pods.group, &topic).await;
    let mut oldest = joined(&pods).await;
    for _ in 0..3 {
        let next = joined(&pods).await;
        oldest.terminate();
        let status = oldest.wait(Duration::from_secs(30)).await;
        assert_eq!(status.code(), Some(0), "{}", oldest.output());
        oldest = next;
    }
    assert!(pods.effects().all().len() < EVENTS, "pods came and went while there was work");
    all_committed(&pods.group, &topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), doubled(&counts)), (EVENTS, 0));
    assert_eq!(pods.attempts().all().len(), EVENTS, "no handler was cut off");
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    assert_no_lag(&pods).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_that_are_killed_lose_nothing_and_double_at_most_what_they_had_in_hand() {
    const KILLS: usize = 2;
    let folder = tempfile::tempdir().unwrap();
    let (topic, pods) = load(folder.path()).await;
    let pods = pods.soon_missed();
    let commits = Commits::watch(&pods.group, &topic).await;
    let mut oldest = joined(&pods).await;
    for _ in 0..KILLS {
        let next = joined(&pods).await;
        oldest.kill_9();
        oldest = next;
    }
    assert!(pods.effects().all().len() < EVENTS, "pods were killed while there was work");
    all_committed(&pods.group, &topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), EVENTS);
    assert!(doubled(&counts) <= KILLS * CONCURRENCY, "{} of them twice", doubled(&counts));
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    assert_no_lag(&pods).await;
}

/// The ends of transactions stand in the log, too, and Kafka's client goes on behind what it has handed over: it must not
/// take the end of one for handed over when the group shares out the partitions anew before its records are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_transactions_are_handled_although_pods_come_and_go() {
    const TRANSACTIONS: usize = 150;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods = Pods::of(topic.name(), folder.path());
    let (name, brokers) = (topic.name().to_owned(), topic.brokers().to_owned());
    let write = move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("transactional.id", format!("tx-{name}"));
        let producer: BaseProducer = config.set("linger.ms", "0").create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        for n in 0..TRANSACTIONS {
            producer.begin_transaction().unwrap();
            let (key, event) = (format!("key-{}", n % 100), format!(r#"{{"id":"event-{n}"}}"#));
            producer.send(BaseRecord::to(&name).key(&key).payload(&event)).unwrap();
            producer.commit_transaction(PATIENCE).unwrap();
        }
    };
    let writing = tokio::task::spawn_blocking(write);
    let mut oldest = joined(&pods).await;
    while !writing.is_finished() {
        let next = joined(&pods).await;
        oldest.terminate();
        let status = oldest.wait(Duration::from_secs(30)).await;
        assert_eq!(status.code(), Some(0), "{}", oldest.output());
        oldest = next;
    }
    writing.await.unwrap();
    until("an effect of each", PATIENCE, async || {
        let found = pods.effects().counts().len();
        if found == TRANSACTIONS { Ok(()) } else { Err(found) }
    })
    .await;
    assert_eq!(doubled(&pods.effects().counts()), 0);
}
