//! Redis goes away, comes back, forgets: work pauses and goes on by itself, and nothing is doubled or lost.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 1000;

/// One pod under load, with a Redis of its own.
struct Scene {
    redis: RedisServer,
    topic: TestTopic,
    pods: Pods,
    pod: Worker,
    probes: SocketAddr,
    _folder: TempDir,
}

impl Scene {
    /// `events` events that take `sleep` each, eight at a time, of which some have taken effect.
    async fn under_load(events: usize, sleep: Duration) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let (redis, topic) = (RedisServer::start(true).await, TestTopic::new(2).await);
        let probes = SocketAddr::from(([127, 0, 0, 1], free_ports(1)));
        let pods = Pods::of(topic.name(), folder.path())
            .with("REDIS__URL", &redis.url())
            .with("DEDUPE__LEASE", "2s")
            .with("WORKER__CONCURRENCY", "8")
            .with("HTTP__LISTEN", &probes.to_string());
        let sleep = sleep.as_millis();
        let record = |n| {
            Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":{sleep}}}"#)).to(n % 2)
        };
        topic.produce_all((0..events as i32).map(record)).await;
        let pod = pods.start(TEST_WORKER);
        let scene = Scene { redis, topic, pods, pod, probes, _folder: folder };
        scene.effects(10).await;
        scene.answers("/readyz", 200, "ok").await;
        scene
    }

    /// Waits until so many more events have taken effect.
    async fn effects(&self, more: usize) {
        let before = self.pods.effects().all().len();
        until("events to take effect", PATIENCE, async || {
            let effects = self.pods.effects().all().len();
            if effects >= before + more { Ok(()) } else { Err(effects) }
        })
        .await;
    }

    async fn answers(&self, path: &str, status: u16, text: &str) {
        until(&format!("{path} to answer {status}"), PATIENCE, async || {
            match http::get(self.probes, path).await {
                Ok((code, body)) if code == status && body.contains(text) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// While Redis is away: says so, lives on, and begins nothing once the leases are over.
    async fn stays_away(&self, outage: Duration) {
        let began = Instant::now();
        self.answers("/readyz", 503, "the dedupe store cannot be used: Redis at 127.0.0.1").await;
        passed(began, Duration::from_secs(3)).await;
        let attempts = self.pods.attempts().all().len();
        assert!(attempts < EVENTS, "nothing is left to begin");
        until("the outage to pass", outage * 2, async || {
            let (status, body) = http::get(self.probes, "/livez").await.unwrap();
            assert_eq!(status, 200, "{body}");
            if began.elapsed() >= outage { Ok(()) } else { Err(()) }
        })
        .await;
        assert_eq!(self.pods.attempts().all().len(), attempts, "a handler began without the store");
    }

    /// Everything has taken effect exactly once, by the one pod there is.
    async fn ends_well(mut self, events: usize) {
        self.pods.commit(&self.topic, events as i64, PATIENCE).await;
        self.answers("/readyz", 200, "ok").await;
        let counts = self.pods.effects().counts();
        assert_eq!(counts.len(), events, "lost events");
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        assert_eq!(self.pods.letters(&self.topic).read().await.len(), 0);
        assert_eq!(self.pod.ended(), None);
    }
}

/// Waits until so much time has gone by.
async fn passed(since: Instant, time: Duration) {
    until("time to pass", time * 2, async || if since.elapsed() >= time { Ok(()) } else { Err(()) }).await;
}

#[tokio::test]
async fn an_outage_of_twenty_seconds_pauses_the_work_and_doubles_nothing() {
    let mut scene = Scene::under_load(EVENTS, Duration::from_millis(80)).await;
    scene.redis.stop().await;
    scene.stays_away(Duration::from_secs(20)).await;
    scene.redis.start_again().await;
    scene.ends_well(EVENTS).await;
}

#[tokio::test]
async fn a_store_that_comes_back_empty_doubles_nothing() {
    let mut scene = Scene::under_load(EVENTS, Duration::from_millis(80)).await;
    scene.redis.stop().await;
    scene.stays_away(Duration::from_secs(8)).await;
    scene.redis.start_again_empty().await;
    scene.ends_well(EVENTS).await;
}

#[tokio::test]
async fn a_frozen_store_leaves_outcomes_unknown_and_doubles_nothing() {
    let scene = Scene::under_load(EVENTS, Duration::from_millis(80)).await;
    for _ in 0..2 {
        scene.redis.freeze();
        let frozen = Instant::now();
        scene.answers("/readyz", 503, "the dedupe store cannot be used").await;
        passed(frozen, Duration::from_secs(5)).await;
        scene.redis.thaw();
        scene.effects(20).await;
    }
    scene.ends_well(EVENTS).await;
}

#[tokio::test]
async fn a_store_that_forgets_under_slow_handlers_doubles_nothing() {
    let scene = Scene::under_load(120, Duration::from_millis(1200)).await;
    for _ in 0..3 {
        scene.redis.flush().await;
        scene.effects(10).await;
    }
    scene.ends_well(120).await;
}

#[tokio::test]
async fn a_service_without_work_says_so_too() {
    let mut scene = Scene::under_load(20, Duration::ZERO).await;
    scene.pods.commit(&scene.topic, 20, PATIENCE).await;
    scene.redis.stop().await;
    scene.answers("/readyz", 503, "the dedupe store cannot be used").await;
    scene.redis.start_again().await;
    scene.ends_well(20).await;
}

#[tokio::test]
async fn with_on_unavailable_fail_the_worker_ends_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (mut redis, topic) = (RedisServer::start(false).await, TestTopic::new(1).await);
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("REDIS__URL", &redis.url())
        .with("DEDUPE__ON_UNAVAILABLE", "fail");
    topic.produce(Record::new("first", r#"{"id":"first"}"#)).await;
    let mut pod = pods.start(TEST_WORKER);
    pods.commit(&topic, 1, PATIENCE).await;
    redis.stop().await;
    topic.produce(Record::new("second", r#"{"id":"second"}"#)).await;
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(1));
    let output = pod.output();
    let reason = format!("the dedupe store cannot be used (Redis at 127.0.0.1:{}", redis.port());
    assert!(output.contains(&reason) && output.contains(r#"dedupe.on_unavailable is "fail""#), "{output}");

    redis.start_again().await;
    let _pod = pods.start(TEST_WORKER);
    pods.commit(&topic, 2, PATIENCE).await;
    assert_eq!(
        pods.effects().all().iter().map(|effect| &*effect.id).collect::<Vec<_>>(),
        ["first", "second"]
    );
}

#[tokio::test]
async fn a_store_that_evicts_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (redis, topic) = (RedisServer::start(false).await, TestTopic::new(1).await);
    let pods = Pods::of(topic.name(), folder.path()).with("REDIS__URL", &redis.url());
    topic.produce(Record::new("first", r#"{"id":"first"}"#)).await;
    for policy in ["allkeys-lru", "volatile-ttl"] {
        redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let mut pod = pods.start(TEST_WORKER);
        assert_eq!(pod.wait(PATIENCE).await.code(), Some(1));
        let output = pod.output();
        let advice = "CONFIG SET maxmemory-policy noeviction";
        assert!(
            output.contains(&format!("maxmemory-policy: {policy}")) && output.contains(advice),
            "{output}"
        );
    }
    assert_eq!(pods.attempts().all(), []);
}
