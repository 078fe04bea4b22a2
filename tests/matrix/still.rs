//! Standing still for a reason: no probe may end a worker for what is no fault of its own.

use std::time::{Duration, Instant};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic, all_committed},
        kafka_server::KafkaServer,
        pod::Pods,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);
/// Much longer than a partition may stand still here.
const LONG: Duration = Duration::from_secs(10);

/// Looks at `/livez` all the while.
async fn lives_for(port: u16, what: &str) {
    let began = Instant::now();
    while began.elapsed() < LONG {
        let (status, body) = http::get(port, "/livez").await.unwrap();
        assert_eq!(status, 200, "{what}, after {:?}: {body}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_73_what_something_else_explains_is_no_stall() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_ports(1));
    let (mut kafka, redis) = (KafkaServer::start().await, RedisServer::start(false).await);
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create(2, &[]).await;
    let pods = Pods::of(topic.name(), folder.path())
        .soon_missed()
        .with("KAFKA__BROKERS", &kafka.brokers())
        .with("KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS", "500")
        .with("REDIS__URL", &redis.url())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("WORKER__MAX_IN_FLIGHT", "4")
        .with("WORKER__STALL_AFTER", "3s");
    let mut number = 0;
    let mut event = |rest: &str| {
        number += 1;
        Record::new(format!("key-{number}"), format!(r#"{{"id":"{number}"{rest}}}"#)).to(number % 2)
    };
    let mut pod = pods.start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    lives_for(port, "nothing to do").await;

    // Handlers that run, retries that wait, and more behind them than a partition may hold.
    let slow = (0..4).map(|_| event(r#","sleep_ms":12000"#)).collect::<Vec<_>>();
    topic.produce_all(slow).await;
    let waiting = (0..20).map(|_| event("")).collect::<Vec<_>>();
    topic.produce_all(waiting).await;
    lives_for(port, "slow handlers").await;
    all_committed(&pods.group, &topic, PATIENCE).await;
    let retried = (0..4).map(|_| event(r#","fail":1,"retry_after_ms":12000"#)).collect::<Vec<_>>();
    topic.produce_all(retried).await;
    lives_for(port, "retries").await;
    all_committed(&pods.group, &topic, PATIENCE).await;

    redis.freeze();
    let waiting = (0..20).map(|_| event("")).collect::<Vec<_>>();
    topic.produce_all(waiting).await;
    lives_for(port, "no store").await;
    redis.thaw();
    all_committed(&pods.group, &topic, PATIENCE).await;

    let waiting = (0..20).map(|_| event("")).collect::<Vec<_>>();
    topic.produce_all(waiting).await;
    kafka.freeze();
    lives_for(port, "a frozen broker").await;
    kafka.thaw();
    all_committed(&pods.group, &topic, PATIENCE).await;
    kafka.kill();
    lives_for(port, "no broker").await;
    kafka.start_again().await;
    until("/readyz", PATIENCE, async || match http::get(port, "/readyz").await {
        Ok((200, _)) => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(pods.effects().counts().len(), 68);
    assert!(!pod.output().contains("stands still"), "{}", pod.output());
}
