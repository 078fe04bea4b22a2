//! Somebody reused an id for something else.

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
