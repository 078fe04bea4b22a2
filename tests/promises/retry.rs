//! What may succeed later is tried again: in order with its key, not too early, and not for ever.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Every attempt so far: what, which, and by which process.
fn attempts(pods: &Pods) -> Vec<(String, u32, u32)> {
    pods.attempts().all().into_iter().map(|attempt| (attempt.id, attempt.attempt, attempt.pid)).collect()
}

/// The numbers of all attempts at one event, in the order they were made.
fn attempts_at(pods: &Pods, id: &str) -> Vec<u32> {
    attempts(pods).into_iter().filter(|(of, ..)| of == id).map(|(_, number, _)| number).collect()
}

/// Disposition, attempts and error of the letter about one event.
fn verdict(letters: &[ReadRecord], id: &str) -> [String; 3] {
    let letter = letter(letters, id);
    ["disposition", "attempts", "error"].map(|name| letter.header(&format!("oncewise-{name}")).unwrap())
}

fn letter<'a>(letters: &'a [ReadRecord], id: &str) -> &'a ReadRecord {
    let about = |letter: &&ReadRecord| letter.header("oncewise-dedupe-key").as_deref() == Some(id);
    letters.iter().find(about).unwrap_or_else(|| panic!("no letter about {id}: {letters:?}"))
}

/// From the first failure to the last, as the letter tells.
fn failing_for(letter: &ReadRecord) -> Duration {
    let at = |name: &str| letter.header(name).unwrap().parse::<Timestamp>().unwrap();
    at("oncewise-last-failure-at").duration_since(at("oncewise-first-failure-at")).try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_event_keeps_its_place_in_its_key_and_other_keys_pass_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic
        .produce_all([
            Record::new("a", r#"{"id":"a1","fail":2,"retry_after_ms":1500}"#),
            Record::new("a", r#"{"id":"a2"}"#),
            Record::new("a", r#"{"id":"a3","fail":1}"#),
            Record::new("b", r#"{"id":"b1"}"#),
            Record::new("b", r#"{"id":"b2"}"#),
        ])
        .await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 5).await;

    let made: Vec<_> = attempts(&pods).into_iter().map(|(id, number, _)| (id, number)).collect();
    let of = |key: &str| -> Vec<(&str, u32)> {
        made.iter().filter(|(id, _)| id.starts_with(key)).map(|(id, number)| (id.as_str(), *number)).collect()
    };
    assert_eq!(of("a"), [("a1", 1), ("a1", 2), ("a1", 3), ("a2", 1), ("a3", 1), ("a3", 2)]);
    assert_eq!(of("b"), [("b1", 1), ("b2", 1)]);
    let place = |id: &str, number| made.iter().position(|made| *made == (id.to_owned(), number));
    assert!(place("b2", 1) < place("a1", 3), "another key waited: {made:?}");
    assert!(pods.effects().counts().values().all(|count| *count == 1), "{:?}", pods.effects().counts());
    assert_eq!(pods.letters(&topic).read().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_after_is_waited_out() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "2");
    topic.produce(Record::new("a", r#"{"id":"a","fail":9,"retry_after_ms":1500}"#)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    let letters = pods.letters(&topic).read().await;
    assert_eq!(verdict(&letters, "a"), ["exhausted", "2", "failed as ordered"]);
    assert!(failing_for(&letters[0]) >= Duration::from_millis(1500), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attempts_have_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "3");
    topic
        .produce_all([
            Record::new("a", r#"{"id":"stubborn","fail":3}"#),
            Record::new("a", r#"{"id":"lucky","fail":2}"#),
        ])
        .await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 2).await;
    assert_eq!((attempts_at(&pods, "stubborn"), attempts_at(&pods, "lucky")), (vec![1, 2, 3], vec![1, 2, 3]));
    assert_eq!(pods.effects().counts(), [("lucky".to_owned(), 1)].into());
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(verdict(&letters, "stubborn"), ["exhausted", "3", "failed as ordered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_time_has_a_limit() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("RETRY__MAX_ATTEMPTS", "1000000")
        .with("RETRY__MAX_DELAY", "50ms")
        .with("RETRY__BUDGET", "1s");
    topic
        .produce_all([
            Record::new("a", r#"{"id":"stubborn","fail":1000000}"#),
            Record::new("b", r#"{"id":"too-late","fail":1,"retry_after_ms":1001}"#),
            Record::new("a", r#"{"id":"next"}"#),
        ])
        .await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 3).await;
    let made = attempts_at(&pods, "stubborn");
    assert!(made.len() > 1, "{made:?}");
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 2);
    assert_eq!(verdict(&letters, "stubborn"), ["exhausted", &made.len().to_string(), "failed as ordered"]);
    assert_eq!(verdict(&letters, "too-late"), ["exhausted", "1", "failed as ordered"]);
    assert_eq!(attempts_at(&pods, "too-late"), [1]);
    assert_eq!(pods.effects().counts(), [("next".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_and_a_time_out_are_failures_and_the_process_lives() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("RETRY__MAX_ATTEMPTS", "2")
        .with("WORKER__HANDLER_TIMEOUT", "500ms");
    topic
        .produce_all([
            Record::new("a", r#"{"id":"panics-once","panic":1}"#),
            Record::new("b", r#"{"id":"panics","panic":9}"#),
            Record::new("c", r#"{"id":"hangs","sleep_ms":3600000}"#),
            Record::new("a", r#"{"id":"next-a"}"#),
            Record::new("b", r#"{"id":"next-b"}"#),
            Record::new("c", r#"{"id":"next-c"}"#),
        ])
        .await;
    let mut pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 6).await;
    for id in ["panics-once", "panics", "hangs"] {
        assert_eq!(attempts_at(&pods, id), [1, 2], "{id}");
    }
    let done = ["next-a", "next-b", "next-c", "panics-once"].map(|id| (id.to_owned(), 1));
    assert_eq!(pods.effects().counts(), done.into());
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 2);
    let [disposition, attempts_made, error] = verdict(&letters, "panics");
    assert_eq!((disposition.as_str(), attempts_made.as_str()), ("exhausted", "2"));
    // The place and not the words: a panic's text may quote the event.
    assert!(error.starts_with("the handler panicked at tests/worker/main.rs:"), "{error}");
    assert!(!pod.output().contains("panic as ordered"), "{}", pod.output());
    assert_eq!(verdict(&letters, "hangs"), ["exhausted", "2", "the handler took longer than 500ms"]);
    assert!(attempts(&pods).iter().all(|(.., pid)| *pid == pod.pid()), "{:?}", attempts(&pods));
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_killed_while_an_event_waits_leaves_its_attempts_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("RETRY__MAX_ATTEMPTS", "4");
    topic.produce(Record::new("a", r#"{"id":"a","fail":9}"#)).await;
    let mut killed = pods.clone().variable("ONCEWISE_CRASH", "in_backoff:2").start(TEST_WORKER);
    assert_eq!(killed.wait(PATIENCE).await.code(), None);
    let next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    let by = [(1, killed.pid()), (2, killed.pid()), (3, next.pid()), (4, next.pid())];
    assert_eq!(attempts(&pods), by.map(|(number, pid)| ("a".to_owned(), number, pid)));
    let letters = pods.letters(&topic).read().await;
    assert_eq!(verdict(&letters, "a"), ["exhausted", "4", "failed as ordered"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_stopped_while_an_event_waits_leaves_its_attempts_and_its_delay_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "2");
    topic.produce(Record::new("a", r#"{"id":"a","fail":9,"retry_after_ms":6000}"#)).await;
    let mut stopped = pods.start(TEST_WORKER);
    until("the first attempt", PATIENCE, async || match attempts(&pods).len() {
        1 => Ok(()),
        seen => Err(seen),
    })
    .await;
    stopped.terminate();
    assert_eq!(stopped.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(attempts_at(&pods, "a"), [1], "a worker that stops does not wait for the next attempt");
    let next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    let by = [(1, stopped.pid()), (2, next.pid())];
    assert_eq!(attempts(&pods), by.map(|(number, pid)| ("a".to_owned(), number, pid)));
    let letters = pods.letters(&topic).read().await;
    assert_eq!(verdict(&letters, "a"), ["exhausted", "2", "failed as ordered"]);
    assert!(failing_for(&letters[0]) >= Duration::from_secs(6), "{letters:?}");
}
