//! While the broker does not take a dead letter nothing is lost: its record stays, and only its own key waits.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const NOT_YET: &str = "the dead letter is not there yet";
/// What a topic of dead letters needs, or a worker refuses to start: 64 KiB more than the broker takes elsewhere.
const LETTERS: [(&str, &str); 2] = [("retention.ms", "-1"), ("max.message.bytes", "8454144")];

/// Starts a pod, and makes the topic of its letters refuse what has no key. (Too few replicas would be the usual
/// reason; one broker alone never has too few, because Kafka asks for no more than there are copies.)
async fn refuse_keyless_letters(pods: &Pods, topic: &TestTopic) -> (Worker, TestTopic) {
    let pod = pods.start(TEST_WORKER);
    // A worker would not start with such a topic, so it comes after the start.
    pods.until_committed(topic, 0, 0).await;
    let letters = pods.letters(topic);
    letters.delete().await;
    let [forever, large] = LETTERS;
    letters.create(1, &[forever, large, ("cleanup.policy", "compact")]).await;
    (pod, letters)
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
async fn a_refused_letter_holds_its_record_alone_and_arrives_once_when_it_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("WORKER__CONCURRENCY", "2");
    let (mut pod, letters) = refuse_keyless_letters(&pods, &topic).await;
    // Many more than run at once: what waits for its letter takes no handler's place.
    let rejected =
        (0..20).map(|n| Record::new("", format!(r#"{{"id":"rejected-{n}","reject":true}}"#)).keyless());
    let others = ["b", "c"].map(|id| Record::new(id, format!(r#"{{"id":"{id}"}}"#)));
    topic.produce_all(rejected.chain(others)).await;
    until_effects(&pods, &["b", "c"]).await;
    pod.says(NOT_YET, PATIENCE).await;
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);
    assert_eq!(letters.read().await, []);

    letters.alter("cleanup.policy", "delete").await;
    pods.until_committed(&topic, 0, 22).await;
    let mut found: Vec<_> = letters
        .read()
        .await
        .iter()
        .map(|letter| letter.header("oncewise-original-offset").unwrap())
        .collect();
    found.sort_by_key(|offset| offset.parse::<i64>().unwrap());
    assert_eq!(found, (0..20).map(|offset| offset.to_string()).collect::<Vec<_>>());
    assert!(pods.attempts().counts().values().all(|count| *count == 1), "{:?}", pods.attempts().counts());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_hands_over_what_waits_for_its_letter_and_the_attempts_stay_spent() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "2");
    let (mut stopped, letters) = refuse_keyless_letters(&pods, &topic).await;
    topic.produce(Record::new("", r#"{"id":"a","fail":9}"#).keyless()).await;
    stopped.says(NOT_YET, PATIENCE).await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await.code(), Some(0), "nothing is cut off");
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);

    letters.alter("cleanup.policy", "delete").await;
    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
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
    let pods = Pods::of(topic.name(), folder.path()).with("DEAD_LETTER__DELIVERY_TIMEOUT", "5s");
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
async fn a_letter_that_nobody_answers_does_not_hold_up_a_worker_that_stops() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    // Longer than a worker that stops has time.
    let pods = Pods::of(topic.name(), folder.path()).with("DEAD_LETTER__DELIVERY_TIMEOUT", "120s");
    let mut stopped = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 0).await;
    let letters = pods.letters(&topic);
    letters.delete().await;
    topic.produce(Record::new("a", r#"{"id":"a","reject":true}"#)).await;
    stopped.says("attempt failed", PATIENCE).await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await.code(), Some(0), "nothing is cut off");
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 0);

    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    assert_eq!(letters.read().await.len(), 1);
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
