//! Handlers that answer without waiting run one after another in the batch they came in; that is seen by nobody.

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

fn event(id: &str, what: &str) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}"{what}}}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_answered_at_once_is_counted_and_keeps_the_breaker_shut() {
    const GOOD: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let port = free_ports(1);
    let pods = Pods::of(topic.name(), folder.path())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .with("RETRY__INITIAL_DELAY", "60s")
        .with("BREAKER__WINDOW", "600s")
        .with("BREAKER__MINIMUM", "3")
        .with("BREAKER__PERCENT", "50");
    let _pod = pods.start(TEST_WORKER);
    let counted = async |name: &str, labels: &str, number: usize| {
        until(&format!("{number} of {name} with {labels}"), PATIENCE, async || {
            let found = http::metric(port, name, labels).await?;
            if found == number as f64 { Ok(()) } else { Err(found.to_string()) }
        })
        .await;
    };
    let attempts = async |outcome: &str, number: usize| {
        counted("oncewise_attempts_total", &format!("outcome=\"{outcome}\""), number).await;
    };

    // Three events fail, and nobody is answered between the last two of them.
    topic.produce(event("away-0", r#","fail":9"#)).await;
    attempts("retry", 1).await;
    topic.produce_all((0..GOOD).map(|n| event(&format!("good-{n}"), ""))).await;
    attempts("done", GOOD).await;
    topic.produce_all([1, 2].map(|n| event(&format!("away-{n}"), r#","fail":9"#))).await;
    attempts("retry", 3).await;
    topic.produce(event("last", "")).await;
    attempts("done", GOOD + 1).await;

    counted("oncewise_handler_duration_seconds_count", "", GOOD + 4).await;
    let opened = http::metric(port, "oncewise_breaker_opened_total", "").await;
    assert_eq!(opened, Ok(0.0), "three of {} attempts have failed", GOOD + 4);
}
