//! Only what is finished is committed, and everything before it.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
/// The first record that fails, and how many there are.
const FAILING: i64 = 3;
const ALL: i64 = 20;

fn records() -> impl Iterator<Item = Record> {
    (0..ALL).map(|n| {
        let fail = if n == FAILING { r#","fail":1,"retry_after_ms":4000"# } else { "" };
        Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}"{fail}}}"#))
    })
}

async fn committed_offset(pods: &Pods, topic: &TestTopic) -> i64 {
    committed(&pods.group, topic).await.get(&0).map_or(0, |(offset, _)| *offset)
}

async fn all_but_the_failing_one_took_effect(pods: &Pods) {
    let expected = usize::try_from(ALL - 1).unwrap();
    until("the others to take effect", PATIENCE, async || match pods.effects().counts().len() {
        seen if seen == expected => Ok(()),
        seen => Err(seen),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offset_stays_before_a_failing_record_and_then_passes_all_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(records()).await;
    let _pod = pods.start(TEST_WORKER);
    let seen = until("everything to be committed", PATIENCE, async || {
        let offset = committed_offset(&pods, &topic).await;
        // Asked after the offset: what was committed must have taken effect before.
        let failing = pods.effects().count(&format!("event-{FAILING}"));
        assert!(offset <= FAILING || failing == 1, "{offset} is committed and event {FAILING} is not done");
        if offset == ALL { Ok(offset) } else { Err(offset) }
    })
    .await;
    assert_eq!(seen, ALL);
    assert!(pods.effects().counts().values().all(|count| *count == 1), "{:?}", pods.effects().counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_commits_up_to_the_failing_record() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce_all(records()).await;
    let mut stopped = pods.start(TEST_WORKER);
    all_but_the_failing_one_took_effect(&pods).await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(committed_offset(&pods, &topic).await, FAILING);

    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, ALL).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len(), usize::try_from(ALL).unwrap());
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}
