//! A delay that is taken out of the configuration leaves nothing unread behind.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What `check` says about a topic.
async fn said_of(pods: &Pods, topic: &TestTopic) -> String {
    let mut check = pods.command(TEST_WORKER, &["check"]);
    assert_eq!(check.wait(PATIENCE).await.code(), Some(0), "{}", check.output());
    let output = check.output();
    // A wide table is broken into lines; the words stay in order.
    let words = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, said) =
        words.split_once(topic.name()).unwrap_or_else(|| panic!("nothing of {topic:?}: {output}"));
    said.to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_with_a_delay_that_is_taken_out_is_tried_all_the_same_and_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce(Record::new("a", r#"{"id":"a","fail":1}"#)).await;
    let mut before = pods.clone().with("RETRY__LATER", "3s").start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    before.terminate();
    assert!(before.wait(Duration::from_secs(30)).await.success());
    let left = TestTopic::named(&format!("{}.{}.retry.3s", topic.name(), pods.group));
    assert_eq!(left.watermarks(0).await.1, 1);
    assert_eq!(pods.effects().counts(), [].into());

    let said = said_of(&pods, &left).await;
    assert!(said.contains("1 record waits"), "{said}");
    let mut status = pods.command(TEST_WORKER, &["status"]);
    status.wait(PATIENCE).await;
    assert!(status.output().contains("; 1 more to be tried later"), "{}", status.output());
    let mut after = pods.start(TEST_WORKER);
    after.says("1 record waits", PATIENCE).await;
    pods.until_committed(&left, 0, 1).await;
    assert_eq!(pods.effects().counts(), [("a".to_owned(), 1)].into());
    assert_eq!(pods.attempts().all().iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2]);
    let said = said_of(&pods, &left).await;
    assert!(said.contains("empty, and retry.later has no 3s"), "{said}");
}
