//! A replay outlives what it needs.

use serde_json::json;

use super::{PATIENCE, Past, json_in};
use crate::support::{
    kafka::TestTopic, kafka_server::KafkaServer, process::Worker, redis::RedisServer, wait::until,
};

const EVENTS: i64 = 300;

impl Past {
    /// A replay of everything that is at work, and what it says in its log.
    async fn at_work(&self) -> Worker {
        self.events_that(EVENTS, r#","sleep_ms":80"#).await;
        let (from, to) = (self.at(0), self.at(EVENTS));
        let replay = self.start("replay", &["--from", &from, "--to", &to, "--yes", "--json"]);
        until("some effects", PATIENCE, async || {
            let effects = self.pods.effects().all().len();
            if effects >= 50 { Ok(()) } else { Err((effects, replay.output())) }
        })
        .await;
        replay
    }

    async fn with_redis(redis: &RedisServer) -> Past {
        let past = Past::of(2).await.on_redis(redis);
        past.with("WORKER__CONCURRENCY", "4").with("TELEMETRY__LOG_FILTER", "warn")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_for_a_while_is_waited_for() {
    let mut redis = RedisServer::start(true).await;
    let past = Past::with_redis(&redis).await;
    let mut replay = past.at_work().await;
    redis.freeze();
    replay.says("the dedupe store cannot be used", PATIENCE).await;
    redis.thaw();
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(0), "{}", replay.output());
    assert_eq!(super::counts(&json_in(&replay.output())), json!({ "ran": EVENTS }));
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());
    redis.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_comes_back_empty_ends_the_replay_before_anything_runs_twice() {
    let mut redis = RedisServer::start(false).await;
    let past = Past::with_redis(&redis).await;
    let done = |n: i64| past.event(&format!("done-{n}"), "", (n % 2) as i32, n);
    past.topic.produce_all((0..400).map(done)).await;
    assert_eq!(past.replay(0, 400, &[]).await.result().1, json!({ "ran": 400 }));
    // Slow ones, and what is done once more behind them.
    let slow = |n: i64| past.event(&n.to_string(), r#","sleep_ms":80"#, (n % 2) as i32, n);
    past.topic.produce_all((0..EVENTS).map(slow)).await;
    past.topic.produce_all((0..400).map(done)).await;
    let range = ["--from", "200", "--to", "1000", "--yes", "--json"];
    let mut replay = past.start("replay", &range);
    until("some effects", PATIENCE, async || {
        let effects = past.pods.effects().all().len();
        if effects >= 450 { Ok(()) } else { Err((effects, replay.output())) }
    })
    .await;
    redis.kill();
    replay.says("the dedupe store cannot be used", PATIENCE).await;
    redis.start_again_empty().await;
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    assert!(replay.output().contains("the store has forgotten what it knew"), "{}", replay.output());
    assert_eq!(past.effects().into_keys().collect::<Vec<_>>(), [1], "nothing took effect twice");
}

/// It comes back before anybody has noticed, or is emptied without ever being away.
async fn is_lost_in_the_middle(lose: impl AsyncFn(&mut RedisServer)) {
    let mut redis = RedisServer::start(false).await;
    let past = Past::with_redis(&redis).await;
    past.events(400).await;
    past.is_handled(400).await;
    let (from, to) = (past.at(0), past.at(400));
    let range = ["--from", &from, "--to", &to, "--rate", "20", "--yes", "--json"];
    let mut replay = past.start("replay", &range);
    let journal = format!("{}:notes:replays", past.pods.prefix());
    until("some progress", PATIENCE, async || {
        let entries: Vec<String> = redis.command(&["HVALS", &journal]).await;
        if entries.iter().any(|entry| entry.contains(r#""already_done":"#) && !entry.contains(r#""at":0"#)) {
            Ok(())
        } else {
            Err(replay.output())
        }
    })
    .await;
    lose(&mut redis).await;
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    assert!(replay.output().contains("the store has forgotten what it knew"), "{}", replay.output());
    assert_eq!(past.effects(), [(1, 400)].into(), "nothing took effect twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_emptied_has_nothing_run_on_its_word() {
    is_lost_in_the_middle(async |redis| redis.flush().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_lost_and_back_at_once_has_nothing_run_on_its_word() {
    is_lost_in_the_middle(async |redis| {
        redis.kill();
        redis.start_again_empty().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_to_fail_without_its_store_ends_and_goes_on_when_told_to() {
    let redis = RedisServer::start(true).await;
    let past = Past::with_redis(&redis).await.with("DEDUPE__ON_UNAVAILABLE", "fail");
    let mut replay = past.at_work().await;
    redis.freeze();
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    assert!(replay.output().contains("dedupe.on_unavailable is \"fail\""), "{}", replay.output());
    redis.thaw();
    let said = replay.output();
    let id = said.lines().find_map(|line| line.strip_prefix("replay ")?.split(':').next()).unwrap();
    let ran = past.does("replay", &["--resume", id, "--json"]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    let tally = &ran.json()["tally"];
    assert_eq!(tally["ran"].as_i64().unwrap() + tally["already_done"].as_i64().unwrap(), EVENTS, "{tally}");
    let counts = past.pods.effects().counts();
    assert_eq!(counts.len(), EVENTS as usize);
    // What it had claimed and handled without being able to say so takes effect again, and nothing else.
    assert!(counts.values().all(|count| *count <= 2), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn brokers_that_are_away_for_a_while_are_waited_for() {
    let mut kafka = KafkaServer::start().await;
    let topic = TestTopic::at(&kafka.brokers(), "past");
    topic.create(2, &[("retention.ms", "-1")]).await;
    let past = Past::on(topic).with("WORKER__CONCURRENCY", "4").with("TELEMETRY__LOG_FILTER", "warn");
    // Little is fetched in advance, so that the rest has to come from the broker that is back.
    let past = past.with("KAFKA__PROPERTIES__QUEUED_MIN_MESSAGES", "10").with("WORKER__MAX_IN_FLIGHT", "20");
    let past = past.with("KAFKA__PROPERTIES__FETCH_MESSAGE_MAX_BYTES", "1000");
    let mut replay = past.at_work().await;
    kafka.kill();
    replay.says("Kafka", PATIENCE).await;
    kafka.start_again().await;
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(0), "{}", replay.output());
    assert_eq!(super::counts(&json_in(&replay.output())), json!({ "ran": EVENTS }));
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());
}
