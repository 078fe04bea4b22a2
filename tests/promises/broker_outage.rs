//! The broker dies and comes back: work goes on by itself, and nothing is doubled or lost.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
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

#[tokio::test]
async fn a_pod_whose_group_went_on_without_it_is_not_ready_until_it_is_back_even_without_partitions() {
    let folder = tempfile::tempdir().unwrap();
    let kafka = KafkaServer::start().await;
    let topic = TestTopic::at(&kafka.brokers(), "events");
    topic.create(1, &[]).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__BROKERS", &kafka.brokers())
        .with("KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS", "500")
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "3000")
        .with("KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", "500");
    let ports = [free_ports(1), free_ports(1)];
    let start =
        |port: &u16| pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}")).start(TEST_WORKER);
    let ready = async |port: u16| match http::get(port, "/readyz").await {
        Ok((200, _)) => Ok(()),
        other => Err(other),
    };
    let mut owner = start(&ports[0]);
    owner.says(": assigned ", PATIENCE).await;
    let _other = start(&ports[1]);
    for port in ports {
        until("both to be ready", PATIENCE, async || ready(port).await).await;
    }
    kafka.freeze();
    let outside = async || {
        let mut said = Vec::new();
        for port in ports {
            said.push(http::get(port, "/readyz").await);
        }
        let is_outside =
            |(status, body): &(u16, String)| *status == 503 && body.contains("not in its consumer group");
        if said.iter().flatten().any(is_outside) { Ok(()) } else { Err(said) }
    };
    until("the owner to be outside", PATIENCE, outside).await;
    kafka.thaw();
    for port in ports {
        until("both to be back", PATIENCE, async || ready(port).await).await;
    }
}
