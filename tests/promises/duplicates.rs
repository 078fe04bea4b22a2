//! The same event twice, as close together as can be.

use std::time::Duration;

use futures_util::future::join_all;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 60;
const ORDERINGS: [&str; 3] = ["key", "partition", "none"];

fn event(n: usize, name: &str) -> Record {
    Record::new(format!("key-{n}"), format!(r#"{{"id":"{name}-{n}","sleep_ms":10}}"#))
}

/// Two partitions hold the same events, the second one backwards; one pod has both, or each of two has one.
async fn opposite(ordering: &str, pod_count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("WORKER__ORDERING", ordering)
        .with("WORKER__CONCURRENCY", "4")
        // Whoever waited for a lease to run out would be too late.
        .with("DEDUPE__LEASE", "60s");
    let forth = (0..EVENTS).map(|n| event(n, "event").to(0));
    let back = (0..EVENTS).rev().map(|n| event(n, "event").to(1));
    topic.produce_all(forth.chain(back)).await;
    let _pods: Vec<_> = (0..pod_count).map(|_| pods.start(TEST_WORKER)).collect();
    pods.commit(&topic, 2 * EVENTS as i64, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), EVENTS);
    assert!(counts.values().all(|count| *count == 1), "ordering {ordering}: {counts:?}");
}

#[tokio::test]
async fn the_same_keys_in_opposite_order_do_not_wait_for_each_other_for_ever() {
    join_all(ORDERINGS.map(|ordering| opposite(ordering, 1))).await;
}

#[tokio::test]
async fn the_same_keys_in_opposite_order_on_two_pods_do_not_either() {
    join_all(ORDERINGS.map(|ordering| opposite(ordering, 2))).await;
}

#[tokio::test]
async fn the_same_event_twice_in_one_batch_takes_effect_once() {
    join_all(ORDERINGS.map(async |ordering| {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(1).await;
        let pods = Pods::of(topic.name(), folder.path())
            .with("WORKER__ORDERING", ordering)
            .with("DEDUPE__LEASE", "60s");
        // With a key they queue in one lane, without they run side by side.
        let keyed = (0..EVENTS).flat_map(|n| [event(n, "keyed"), event(n, "keyed")]);
        let keyless =
            (0..EVENTS).flat_map(|n| [event(n, "keyless").keyless(), event(n, "keyless").keyless()]);
        topic.produce_all(keyed.chain(keyless)).await;
        let _pod = pods.start(TEST_WORKER);
        pods.commit(&topic, 4 * EVENTS as i64, PATIENCE).await;
        let counts = pods.effects().counts();
        assert_eq!(counts.len(), 2 * EVENTS);
        assert!(counts.values().all(|count| *count == 1), "ordering {ordering}: {counts:?}");
    }))
    .await;
}
