//! A worker that is told to stop finishes what runs, commits it, gives back what it has not begun, and ends in time.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic, all_committed, committed},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

fn event(id: &str, what: &str) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}",{what}}}"#))
}

async fn attempted(pods: &Pods, times: usize) {
    until(&format!("{times} attempts"), PATIENCE, async || {
        let attempts = pods.attempts().all().len();
        if attempts >= times { Ok(()) } else { Err(attempts) }
    })
    .await;
}

async fn exit_code(pod: &mut Worker, deadline: Duration) -> Option<i32> {
    pod.wait(deadline).await.code()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_under_load_finishes_commits_and_gives_back() {
    const EACH: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(4).await;
    let pods =
        Pods::of(topic.name(), folder.path()).with("DEDUPE__LEASE", "120s").with("WORKER__CONCURRENCY", "8");
    let records = (0..4).flat_map(|partition| {
        (0..EACH).map(move |n| event(&format!("{partition}.{n}"), r#""sleep_ms":50"#).to(partition))
    });
    topic.produce_all(records).await;
    let mut first = pods.start(TEST_WORKER);
    attempted(&pods, 100).await;
    first.terminate();
    assert_eq!(exit_code(&mut first, Duration::from_secs(30)).await, Some(0), "{}", first.output());

    let finished: BTreeSet<String> = pods.effects().counts().into_keys().collect();
    assert!(finished.len() < 4 * EACH, "it was stopped in the middle");
    assert_eq!(pods.attempts().counts().into_keys().collect::<BTreeSet<_>>(), finished, "none was cut off");
    let committed = committed(&pods.group, &topic).await;
    for partition in 0..4 {
        let unfinished = (0..EACH).find(|n| !finished.contains(&format!("{partition}.{n}"))).unwrap_or(EACH);
        assert_eq!(committed[&partition].0, unfinished as i64, "partition {partition}");
    }

    let began = Instant::now();
    let _second = pods.start(TEST_WORKER);
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert!(began.elapsed() < Duration::from_secs(100), "what was given back waited for its lease");
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), counts.values().sum()), (4 * EACH, 4 * EACH), "each of them once");
    assert_eq!(pods.attempts().all().len(), 4 * EACH, "none of them was tried again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_what_came_together_a_stop_begins_nothing_more() {
    const EVENTS: usize = 250;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__DRAIN_TIMEOUT", "60s")
        .with("DEDUPE__LEASE", "120s")
        .variable("TOKIO_WORKER_THREADS", "2");
    topic.produce_all((0..EVENTS).map(|n| event(&format!("event-{n}"), r#""block_ms":100"#))).await;
    let mut first = pods.start(TEST_WORKER);
    attempted(&pods, 10).await;
    first.terminate();
    assert_eq!(exit_code(&mut first, PATIENCE).await, Some(0), "{}", first.output());
    let made = pods.attempts().all().len();
    assert!(made < EVENTS, "whatever was claimed has run, as if nobody had said stop");
    assert_eq!(pods.effects().all().len(), made, "what had begun was finished");

    let began = Instant::now();
    let _second = pods.start(TEST_WORKER);
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert!(began.elapsed() < Duration::from_secs(100), "what was given back waited for its lease");
    assert_eq!(pods.attempts().all().len(), EVENTS, "each of them once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_longer_than_the_deadline_is_cut_off_and_its_lease_stands() {
    const LEASE: Duration = Duration::from_secs(9);
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("WORKER__DRAIN_TIMEOUT", "1s")
        .with("DEDUPE__LEASE", &format!("{}s", LEASE.as_secs()));
    let door = pods.door("slow");
    topic.produce(event("slow", &door.order()[1..])).await;
    let mut first = pods.start(TEST_WORKER);
    attempted(&pods, 1).await;
    first.terminate();
    assert_eq!(exit_code(&mut first, Duration::from_secs(18)).await, Some(3), "{}", first.output());
    let ended = Instant::now();
    assert_eq!(pods.effects().all(), [], "it was cut off before its effect");
    door.open();

    let mut second = pods.start(TEST_WORKER);
    second.says(": assigned ", PATIENCE).await;
    attempted(&pods, 2).await;
    // It was renewed every third of the lease, the last time while the first pod still lived.
    assert!(ended.elapsed() >= LEASE / 3, "the lease did not stand: {:?}", ended.elapsed());
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_eq!((pods.attempts().count("slow"), pods.effects().count("slow")), (2, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("WORKER__DRAIN_TIMEOUT", "120s");
    topic.produce(event("slow", r#""sleep_ms":120000"#)).await;
    let mut pod = pods.start(TEST_WORKER);
    attempted(&pods, 1).await;
    pod.terminate();
    pod.says("draining", PATIENCE).await;
    assert_eq!(pod.ended(), None, "it drains");
    pod.terminate();
    assert_eq!(exit_code(&mut pod, Duration::from_secs(30)).await, Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_redis_is_away_ends_in_time_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let mut redis = RedisServer::start(true).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("REDIS__URL", &redis.url())
        .with("WORKER__DRAIN_TIMEOUT", "2s");
    let port = free_ports(1);
    let mut idle = pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}")).start(TEST_WORKER);
    topic
        .produce_all([event("first", r#""sleep_ms":0"#).to(0), event("second", r#""sleep_ms":0"#).to(1)])
        .await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    redis.kill();
    topic.produce_all((0..20).map(|n| event(&format!("event-{n}"), r#""sleep_ms":0"#))).await;
    until("the worker to wait for claims", PATIENCE, async || {
        match http::metric(port, "oncewise_in_flight", &pods.group).await {
            Ok(20.0) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    idle.terminate();
    let output = idle.output();
    assert_eq!(exit_code(&mut idle, Duration::from_secs(21)).await, Some(0), "nothing was cut off: {output}");
    assert_eq!(pods.attempts().all().len(), 2, "nothing runs without a claim");

    redis.start_again().await;
    let _next = pods.start(TEST_WORKER);
    all_committed(&pods.group, &topic, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), counts.values().sum()), (22, 22), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_effect_that_a_lost_redis_did_not_hear_of_is_cut_off_and_not_committed() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let mut redis = RedisServer::start(true).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("REDIS__URL", &redis.url())
        .with("WORKER__DRAIN_TIMEOUT", "2s");
    let mut first = pods.start(TEST_WORKER);
    let door = pods.door("slow");
    topic.produce(event("slow", &door.order()[1..])).await;
    attempted(&pods, 1).await;
    redis.kill();
    door.open();
    until("the effect", PATIENCE, async || match pods.effects().count("slow") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    first.terminate();
    assert_eq!(exit_code(&mut first, Duration::from_secs(21)).await, Some(3), "{}", first.output());
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0, "it is not finished");

    redis.start_again().await;
    let _next = pods.start(TEST_WORKER);
    all_committed(&pods.group, &topic, PATIENCE).await;
    assert_eq!(pods.effects().count("slow"), 2, "the end between effect and completion costs one repeat");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_that_block_every_thread_do_not_keep_the_worker_alive() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__DRAIN_TIMEOUT", "1s")
        .variable("TOKIO_WORKER_THREADS", "2");
    let mut pod = pods.start(TEST_WORKER);
    // In one batch the second would wait for the first.
    for (attempts, id) in (1..).zip(["a", "b"]) {
        topic.produce(event(id, r#""block_ms":60000"#)).await;
        attempted(&pods, attempts).await;
    }
    pod.terminate();
    assert_eq!(exit_code(&mut pod, Duration::from_secs(25)).await, Some(3), "{}", pod.output());
}
