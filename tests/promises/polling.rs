//! A partition that is full waits alone, and what is in flight stays within its bounds.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic, all_committed, committed},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_full_of_stuck_handlers_waits_alone() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__MAX_IN_FLIGHT", "4")
        .with("WORKER__CONCURRENCY", "4");
    let event = |id: String, sleep: u32| Record::new(&id, format!(r#"{{"id":"{id}","sleep_ms":{sleep}}}"#));
    topic.produce_all((0..10).map(|n| event(format!("stuck-{n}"), 120_000).to(0))).await;
    let _pod = pods.start(TEST_WORKER);
    until("the stuck handlers", PATIENCE, async || match pods.attempts().all().len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    topic.produce_all((0..200).map(|n| event(format!("quick-{n}"), 0).to(1))).await;
    until("the other partition to flow", PATIENCE, async || {
        let committed = committed(&pods.group, &topic).await;
        if committed.get(&1).is_some_and(|(offset, _)| *offset == 200) { Ok(()) } else { Err(committed) }
    })
    .await;
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);
    let stuck = pods.attempts().all().iter().filter(|attempt| attempt.id.starts_with("stuck")).count();
    assert_eq!(stuck, 2, "half of what may be in flight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_records_do_not_pile_up() {
    const RECORD: usize = 1_000_000;
    const LIMIT: usize = 4 << 20;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(2, &[("max.message.bytes", "2000000")]).await;
    let port = free_ports(1);
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__MAX_IN_FLIGHT_BYTES", &LIMIT.to_string())
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"));
    let door = pods.door("large");
    let large = |n| {
        let event = format!(r#"{{"id":"large-{n}","sleep_ms":500{}}}"#, door.order());
        Record::new(format!("key-{n}"), event + &" ".repeat(RECORD)).to(n % 2)
    };
    topic.produce_all((0..30).map(large)).await;
    let _pod = pods.start(TEST_WORKER);
    let mut most = 0.0_f64;
    until("all large records", PATIENCE, async || {
        let bytes = http::metric(port, "oncewise_in_flight_bytes", &pods.group).await;
        most = most.max(bytes.unwrap_or_default());
        if most >= LIMIT as f64 / 2.0 {
            door.open();
        }
        match pods.effects().all().len() {
            30 => Ok(()),
            other => Err(other),
        }
    })
    .await;
    // A partition is full when it has reached its share, so each may go beyond it by one record.
    let bounds = LIMIT as f64 / 2.0..=(LIMIT + 2 * (RECORD + 100)) as f64;
    assert!(bounds.contains(&most), "{most} bytes were in flight, allowed are {bounds:?}");
    all_committed(&pods.group, &topic, PATIENCE).await;
}
