//! The broker dies and comes back: work goes on by itself, and nothing is doubled or lost.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        kafka_server::KafkaServer,
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(90);

fn event(n: usize, sleep_ms: u64) -> Record {
    Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":{sleep_ms}}}"#))
}

async fn effects(pods: &Pods, at_least: usize) {
    until("events to take effect", PATIENCE, async || {
        let effects = pods.effects().all().len();
        if effects >= at_least { Ok(()) } else { Err(effects) }
    })
    .await;
}

#[tokio::test]
async fn a_killed_broker_that_starts_again_costs_and_doubles_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut kafka = KafkaServer::start().await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create(2, &[]).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__BROKERS", &kafka.brokers())
        .with("WORKER__CONCURRENCY", "4");
    topic.produce_all((0..200).map(|n| event(n, 20))).await;
    let mut pod = pods.start(TEST_WORKER);
    effects(&pods, 20).await;

    // What was fetched is worked on without the broker, and committed when it is back, though nothing follows it.
    kafka.kill();
    effects(&pods, 200).await;
    kafka.start_again().await;
    pods.commit(&topic, 200, PATIENCE).await;

    topic.produce_all((200..250).map(|n| event(n, 0))).await;
    pods.commit(&topic, 250, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), 250, "lost events");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(pod.ended(), None);
}
