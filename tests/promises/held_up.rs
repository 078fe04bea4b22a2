//! A crash holds up what ran or was about to run, and nothing else.

use std::{net::SocketAddr, time::Duration};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

/// Longer than the test: what waits for a lease takes no effect in it.
const LEASE: &str = "120s";
const RECORDS: usize = 1000;
/// The two that run, and those that are claimed ahead so that no handler waits for the store.
const CLAIMED: usize = 2 + 256;

fn record(n: usize, sleep_ms: u64) -> Record {
    Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":{sleep_ms}}}"#))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_what_was_far_from_running_does_not_wait_for_a_lease() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("DEDUPE__LEASE", LEASE);
    topic.produce_all((0..2).map(|n| record(n, 600_000))).await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_ports(1)));
    let first = pods.clone().with("WORKER__CONCURRENCY", "2").with("HTTP__LISTEN", &address.to_string());
    let mut crashes = first.start(TEST_WORKER);
    until("both places to be taken", Duration::from_secs(60), async || {
        let attempts = pods.attempts().all().len();
        if attempts == 2 { Ok(()) } else { Err(attempts) }
    })
    .await;
    topic.produce_all((2..RECORDS).map(|n| record(n, 0))).await;
    let won = format!(r#"oncewise_dedupe_total{{outcome="won",service="{}"}} {CLAIMED}"#, pods.group);
    until("what comes next to be claimed", Duration::from_secs(60), async || {
        let (_, metrics) = http::get(address, "/metrics").await?;
        let claims = metrics.lines().find(|line| line.contains(r#"dedupe_total{outcome="won""#));
        if claims == Some(&won) { Ok(()) } else { Err(format!("{claims:?}")) }
    })
    .await;
    crashes.kill_9();

    let _next = pods.start(TEST_WORKER);
    until("the rest to take effect", Duration::from_secs(60), async || {
        let effects = pods.effects().all().len();
        if effects >= RECORDS - CLAIMED { Ok(()) } else { Err(effects) }
    })
    .await;
    let counts = pods.effects().counts();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(counts.len(), RECORDS - CLAIMED, "the others wait for the leases of those that may have run");
}
