//! While the broker does not take a dead letter nothing is lost: its record stays, and only its own key waits.

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
const NOT_YET: &str = "the dead letter is not there yet";
/// What a topic of dead letters needs, or a worker refuses to start: 64 KiB more than the broker takes elsewhere.
const LETTERS: [(&str, &str); 2] = [("retention.ms", "-1"), ("max.message.bytes", "8454144")];

/// Makes the topic of the letters so that one broker alone may write nothing to it with `acks=all`.
async fn letters_that_are_refused(pods: &Pods, topic: &TestTopic) -> TestTopic {
    let letters = pods.letters(topic);
    let [forever, large] = LETTERS;
    letters.create(1, &[forever, large, ("min.insync.replicas", "2")]).await;
    letters
}

async fn until_effects(pods: &Pods, ids: &[&str]) {
    until(&format!("effects of {ids:?}"), PATIENCE, async || {
        let counts = pods.effects().counts();
        if ids.iter().all(|id| counts.contains_key(*id)) { Ok(()) } else { Err(counts) }
    })
    .await;
}

/// A rejected event at the offset `from`, one that waits behind it, and two of another key.
async fn produce_with_neighbours(topic: &TestTopic, from: i64) {
    let fine = |key: &str, n: i64| Record::new(key, format!(r#"{{"id":"{key}-{}"}}"#, from + n));
    let rejected = Record::new("a", format!(r#"{{"id":"rejected-{from}","reject":true}}"#));
    topic.produce_all([rejected, fine("a", 1), fine("b", 2), fine("b", 3)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_letter_holds_its_key_alone_and_arrives_once_when_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("DEAD_LETTER__DELIVERY_TIMEOUT", "1s");
    let letters = letters_that_are_refused(&pods, &topic).await;
    produce_with_neighbours(&topic, 0).await;
    let mut pod = pods.start(TEST_WORKER);
    until_effects(&pods, &["b-2", "b-3"]).await;
    pod.says(NOT_YET, PATIENCE).await;
    assert_eq!(pods.effects().counts(), ["b-2", "b-3"].map(|id| (id.to_owned(), 1)).into());
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);
    assert_eq!(letters.read().await, []);

    letters.alter("min.insync.replicas", "1").await;
    pods.until_committed(&topic, 0, 4).await;
    let found = letters.read().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].header("oncewise-dedupe-key").as_deref(), Some("rejected-0"));
    assert_eq!(pods.effects().counts(), ["a-1", "b-2", "b-3"].map(|id| (id.to_owned(), 1)).into());
    assert_eq!(pods.attempts().count("rejected-0"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_waits_for_a_letter_stops_at_once_and_the_next_makes_no_further_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "2");
    let letters = letters_that_are_refused(&pods, &topic).await;
    topic.produce_all([Record::new("a", r#"{"id":"a","fail":9}"#), Record::new("b", r#"{"id":"b"}"#)]).await;
    let mut stopped = pods.start(TEST_WORKER);
    until("both attempts and the neighbour", PATIENCE, async || match pods.attempts().counts() {
        counts if counts == [("a".to_owned(), 2), ("b".to_owned(), 1)].into() => Ok(()),
        counts => Err(counts),
    })
    .await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await.code(), Some(0), "nothing is cut off");
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);

    letters.alter("min.insync.replicas", "1").await;
    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 2).await;
    assert_eq!(pods.attempts().count("a"), 2);
    let found = letters.read().await;
    assert_eq!(found.len(), 1);
    let header = |name: &str| found[0].header(&format!("oncewise-{name}")).unwrap();
    assert_eq!(["disposition", "attempts"].map(header), ["exhausted", "2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_of_letters_that_vanishes_holds_its_records_until_it_is_there_again() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("DEAD_LETTER__DELIVERY_TIMEOUT", "2s");
    let mut pod = pods.start(TEST_WORKER);
    produce_with_neighbours(&topic, 0).await;
    pods.until_committed(&topic, 0, 4).await;
    let letters = pods.letters(&topic);
    assert_eq!(letters.read().await.len(), 1);

    letters.delete().await;
    produce_with_neighbours(&topic, 4).await;
    until_effects(&pods, &["b-6", "b-7"]).await;
    pod.says(NOT_YET, PATIENCE).await;
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 4);
    assert_eq!(pods.effects().count("a-5"), 0);

    letters.create(1, &LETTERS).await;
    pods.until_committed(&topic, 0, 8).await;
    let found = letters.read().await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].header("oncewise-dedupe-key").as_deref(), Some("rejected-4"));
    assert_eq!(pods.effects().count("a-5"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_topic_for_letters_the_start_is_refused_with_the_command_that_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path()).with("TOPICS__CREATE", "false");
    topic.produce(Record::new("a", r#"{"id":"a"}"#)).await;
    let mut pod = pods.start(TEST_WORKER);
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(1));
    let letters = pods.letters(&topic);
    let said = pod.output();
    let command =
        format!("kafka-topics.sh --create --topic {} --partitions 2 --replication-factor 1", letters.name());
    assert!(said.contains(&command) && said.contains("retention.ms=-1"), "{said}");
    assert!(letters.partitions().await.is_err(), "nothing is made");
    assert_eq!(pods.attempts().all(), []);

    letters.create(2, &LETTERS).await;
    let _pod = pods.start(TEST_WORKER);
    until_effects(&pods, &["a"]).await;
}
