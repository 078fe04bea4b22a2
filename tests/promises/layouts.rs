//! Workers that keep what has ended in different ways.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        redis::store_records,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 60;

fn events(name: &str) -> impl DoubleEndedIterator<Item = Record> {
    (0..EVENTS)
        .map(move |n| Record::new(format!("key-{n}"), format!(r#"{{"id":"{name}-{n}","sleep_ms":5}}"#)))
}

/// The keys that an event has to itself, by what stands there.
async fn ended_under_keys(pods: &Pods) -> usize {
    let is_end = |value: &String| value.bytes().all(|digit| digit.is_ascii_digit());
    store_records(&pods.prefix()).await.iter().filter(|value| value.len() > 16 && is_end(value)).count()
}

#[tokio::test]
async fn a_layout_may_be_changed_back_and_forth_and_nothing_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let mut expected = 0;
    for (layout, name) in [("keys", "first"), ("compact", "second"), ("keys", "third")] {
        // All that ended with the layout before comes again, behind what is new.
        topic.produce_all(events(name)).await;
        for before in ["first", "second", "third"].into_iter().take_while(|before| *before != name) {
            topic.produce_all(events(before)).await;
            expected += EVENTS as i64;
        }
        expected += EVENTS as i64;
        let mut pod = pods.clone().with("DEDUPE__LAYOUT", layout).start(TEST_WORKER);
        pods.commit(&topic, expected, PATIENCE).await;
        pod.terminate();
        pod.wait(PATIENCE).await;
    }
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), counts.values().max()), (3 * EVENTS, Some(&1)));
    assert_eq!(ended_under_keys(&pods).await, 2 * EVENTS, "those of the second worker have none");
}

#[tokio::test]
async fn workers_with_both_layouts_share_a_group() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(events("event").map(|event| event.to(0))).await;
    topic.produce_all(events("event").rev().map(|event| event.to(1))).await;
    let _pods =
        ["keys", "compact"].map(|layout| pods.clone().with("DEDUPE__LAYOUT", layout).start(TEST_WORKER));
    pods.commit(&topic, 2 * EVENTS as i64, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!((counts.len(), counts.values().max()), (EVENTS, Some(&1)));
}
