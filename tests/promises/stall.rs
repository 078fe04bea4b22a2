//! A consumer that has fallen silent does not stay so for ever.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_consumer_that_takes_nothing_in_although_records_wait_fails_its_liveness() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, port) = (TestTopic::new(1).await, free_ports(1));
    let pods = Pods::of(topic.name(), folder.path())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS", "500")
        .with("WORKER__STALL_AFTER", "4s");
    let mut pod = pods.clone().variable("ONCEWISE_DEAF", "1").start(TEST_WORKER);
    pod.says(": assigned ", PATIENCE).await;
    let livez = async || http::get(port, "/livez").await;
    // Nothing waits: that nothing comes is as it should be.
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(livez().await.unwrap().0, 200);
    topic.produce(Record::new("waits", r#"{"id":"waits"}"#)).await;
    let body = until("/livez to fail", PATIENCE, async || match livez().await {
        Ok((503, body)) => Ok(body),
        other => Err(other),
    })
    .await;
    let expected =
        format!("partition 0 of {} stands still: 1 records are fetched, and not taken in", topic.name());
    assert!(body.contains(&expected), "{body}");
    assert_eq!(pod.output().matches("stands still although records wait").count(), 1, "said once");
}

#[tokio::test]
async fn a_batch_that_cannot_be_unpacked_costs_its_partition_and_not_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, port) = (TestTopic::with_config(2, &[("compression.type", "zstd")]).await, free_ports(1));
    let pods = Pods::of(topic.name(), folder.path())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("KAFKA__PROPERTIES__STATISTICS_INTERVAL_MS", "500")
        .with("KAFKA__PROPERTIES__MESSAGE_MAX_BYTES", "100000")
        .with("KAFKA__PROPERTIES__FETCH_MAX_BYTES", "100000")
        .with("KAFKA__PROPERTIES__FETCH_MESSAGE_MAX_BYTES", "100000")
        .with("KAFKA__PROPERTIES__RECEIVE_MESSAGE_MAX_BYTES", "101000")
        .with("WORKER__STALL_AFTER", "4s");
    let bomb = format!(r#"{{"id":"bomb","pad":"{}"}}"#, "0".repeat(900_000));
    topic.produce(Record::new("bomb", bomb).to(0)).await;
    let _pod = pods.start(TEST_WORKER);
    let paused = format!("partition 0 of {} is paused: the log goes on from 0 to 1", topic.name());
    until("/readyz to say so", PATIENCE, async || match http::get(port, "/readyz").await {
        Ok((503, body)) if body.contains(&paused) && body.to_lowercase().contains("compress") => Ok(()),
        other => Err(other),
    })
    .await;
    assert_eq!(http::get(port, "/livez").await.unwrap().0, 200);
    topic.produce(Record::new("next", r#"{"id":"next"}"#).to(1)).await;
    until("the other partition to flow", PATIENCE, async || match pods.effects().count("next") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
}
