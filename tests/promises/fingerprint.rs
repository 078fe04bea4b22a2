//! Somebody reused an id for something else.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_id_with_another_fingerprint_is_dead_lettered_and_with_the_same_a_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let paid = |amount: &str| Record::new("a", format!(r#"{{"id":"pay-1","fingerprint":"{amount}"}}"#));
    topic.produce_all([paid("10 EUR"), paid("10 EUR"), paid("99 EUR"), paid("10 EUR")]).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 4).await;
    assert_eq!(pods.effects().counts(), [("pay-1".to_owned(), 1)].into());
    assert_eq!(pods.attempts().all().len(), 1);
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1);
    let header = |name: &str| letters[0].header(&format!("oncewise-{name}")).unwrap();
    assert_eq!(
        ["disposition", "attempts", "dedupe-key", "original-offset"].map(header),
        ["mismatch", "0", "pay-1", "2"]
    );
    assert_eq!(letters[0].value_text(), r#"{"id":"pay-1","fingerprint":"99 EUR"}"#);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_reckons_fingerprints_otherwise_knows_what_waits_for_it_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__LATER", "2s, 4s");
    let event =
        |amount: &str| Record::new("a", format!(r#"{{"id":"pay-1","fail":2,"fingerprint":"{amount}"}}"#));
    topic.produce_all([event("10 EUR"), event("99 EUR")]).await;
    let mut before = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 2).await;
    before.terminate();
    assert!(before.wait(Duration::from_secs(30)).await.success());
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1, "a mismatch is one also while the other waits: {letters:?}");

    let _after = pods.clone().variable("ONCEWISE_TEST_FINGERPRINT", "v2").start(TEST_WORKER);
    let waiting = TestTopic::named(&format!("{}.{}.retry.4s", topic.name(), pods.group));
    pods.until_committed(&waiting, 0, 1).await;
    assert_eq!(pods.effects().counts(), [("pay-1".to_owned(), 1)].into());
    assert_eq!(pods.attempts().all().iter().map(|attempt| attempt.attempt).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
    // It is written as it was first reckoned, over as many copies as it takes.
    let first = TestTopic::named(&format!("{}.{}.retry.2s", topic.name(), pods.group));
    let said = async |topic: &TestTopic| topic.read().await[0].header("oncewise-fingerprint");
    assert!(said(&first).await.is_some() && said(&first).await == said(&waiting).await);
}
