//! A pod dies without a warning at the worst places: nothing is lost, and what is doubled is what the bound says.

use std::time::Duration;

use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        redis::store_records,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Records of other keys in the same partition.
const NEIGHBOURS: usize = 20;

/// One partition, whose first owner dies over the victim, alone in flight; its heir finds neighbours behind it.
struct Scene {
    topic: TestTopic,
    pods: Pods,
    _folder: TempDir,
}

/// What is there when the heir has committed everything.
struct Outcome {
    /// Effects of the victim.
    effects: usize,
    /// Attempts at the victim, by their numbers.
    attempts: Vec<u32>,
    /// Neighbours that took effect before the heir's first attempt at the victim; all if there was none.
    passed: usize,
    /// Original partition and offset of each dead letter, with its disposition.
    letters: Vec<[String; 3]>,
}

impl Scene {
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(1).await;
        // The lease is much longer than the session, and than a start on a busy machine: neighbours that waited for it
        // would be seen to.
        let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("DEDUPE__LEASE", "15s");
        Scene { topic, pods, _folder: folder }
    }

    /// The victim does `order`; its pod dies at `point`, and another takes over.
    async fn play(point: &str, order: &str) -> Outcome {
        let scene = Scene::new().await;
        let Scene { topic, pods, .. } = &scene;
        topic.produce(Record::new("victim", format!(r#"{{"id":"victim"{order}}}"#))).await;
        let mut dying = pods.clone().variable("ONCEWISE_CRASH", point).start(TEST_WORKER);
        let status = dying.wait(PATIENCE).await;
        assert_eq!(status.code(), None, "it ended by itself: {status}");
        assert_eq!(committed(&pods.group, topic).await.get(&0).map_or(0, |(offset, _)| *offset), 0);
        let before = pods.attempts().count("victim");

        let neighbours =
            (0..NEIGHBOURS).map(|n| Record::new(format!("key-{n}"), format!(r#"{{"id":"neighbour-{n}"}}"#)));
        topic.produce_all(neighbours).await;
        let heir = pods.start(TEST_WORKER);
        pods.commit(topic, NEIGHBOURS as i64 + 1, PATIENCE).await;
        drop(heir);

        let counts = pods.effects().counts();
        let neighbours: Vec<usize> =
            (0..NEIGHBOURS).map(|n| counts.get(&format!("neighbour-{n}")).copied().unwrap_or(0)).collect();
        assert_eq!(neighbours, [1; NEIGHBOURS], "neighbours lost or doubled");
        let attempts = pods.attempts().all();
        let victims = attempts.iter().enumerate().filter(|(_, attempt)| attempt.id == "victim");
        let heirs = victims.clone().nth(before).map_or(attempts.len(), |(at, _)| at);
        let coordinate = |letter: &crate::support::kafka::ReadRecord| {
            ["original-partition", "original-offset", "disposition"]
                .map(|name| letter.header(&format!("oncewise-{name}")).unwrap())
        };
        Outcome {
            effects: counts.get("victim").copied().unwrap_or(0),
            attempts: victims.map(|(_, attempt)| attempt.attempt).collect(),
            passed: heirs - before,
            letters: pods.letters(topic).read().await.iter().map(coordinate).collect(),
        }
    }
}

#[tokio::test]
async fn a_take_over_that_is_handed_over_unasked_still_asks_what_was_applied() {
    let scene = Scene::new().await;
    let topic = &scene.topic;
    let pods = scene
        .pods
        .clone()
        // Long enough for the heir to be there, and busy, when it ends.
        .with("WORKER__DRAIN_TIMEOUT", "60s")
        .with("WORKER__CONCURRENCY", "1");
    topic.produce(Record::new("victim", r#"{"id":"victim","applied":true}"#)).await;
    let mut dying = pods.clone().variable("ONCEWISE_CRASH", "after_effect").start(TEST_WORKER);
    dying.wait(PATIENCE).await;

    // The heir has one place, and something slow in it, when it is told to stop.
    let door = pods.door("slow");
    topic.produce(Record::new("slow", format!(r#"{{"id":"slow"{}}}"#, door.order()))).await;
    let mut heir = pods.start(TEST_WORKER);
    until("the victim to be taken over", PATIENCE, async || {
        let records = store_records(&pods.prefix()).await;
        let taken_over = |record: &&String| record.starts_with("1P") && record.split(':').nth(4) == Some("1");
        if records.iter().any(|record| taken_over(&record)) { Ok(()) } else { Err(records) }
    })
    .await;
    heir.terminate();
    heir.says("draining", PATIENCE).await;
    door.open();
    assert_eq!(heir.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(pods.attempts().count("victim"), 1, "the heir was at the victim already");

    let _next = pods.start(TEST_WORKER);
    pods.commit(topic, 2, PATIENCE).await;
    assert_eq!((pods.effects().count("victim"), pods.effects().count("slow")), (1, 1));
}

#[tokio::test]
async fn a_worker_that_was_presumed_dead_adds_no_second_letter() {
    let scene = Scene::new().await;
    let topic = &scene.topic;
    let pods = scene.pods.clone().with("DEDUPE__LEASE", "2s");
    let door = pods.door("victim");
    let order = format!(r#"{{"id":"victim","reject":true{}}}"#, door.order());
    topic.produce(Record::new("victim", order)).await;
    let frozen = pods.start(TEST_WORKER);
    until("the first attempt", PATIENCE, async || match pods.attempts().count("victim") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    frozen.freeze();
    door.open();
    let heir = pods.start(TEST_WORKER);
    pods.commit(topic, 1, PATIENCE).await;

    // It wakes up in the middle of its attempt, and finds out that the event is somebody else's.
    frozen.thaw();
    let mut frozen = frozen;
    frozen.says("attempt failed", PATIENCE).await;
    drop(heir);
    topic.produce(Record::new("next", r#"{"id":"next"}"#)).await;
    pods.commit(topic, 2, PATIENCE).await;
    frozen.terminate();
    assert_eq!(frozen.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(pods.attempts().count("victim"), 2);
    assert_eq!(pods.letters(topic).read().await.len(), 1);
}

/// The letter of the victim, which is the first record of its partition.
fn letter(disposition: &str) -> [String; 3] {
    ["0", "0", disposition].map(str::to_owned)
}

#[tokio::test]
async fn a_crash_after_the_claim_loses_nothing_and_neighbours_do_not_wait() {
    let seen = Scene::play("after_claim", "").await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (1, vec![1], 0));
    assert_eq!(seen.passed, NEIGHBOURS);
}

#[tokio::test]
async fn a_crash_after_the_effect_doubles_that_effect_alone() {
    let seen = Scene::play("after_effect", "").await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (2, vec![1, 1], 0));
    assert_eq!(seen.passed, NEIGHBOURS);
}

#[tokio::test]
async fn a_handler_that_knows_what_was_applied_doubles_nothing() {
    let seen = Scene::play("after_effect", r#","applied":true"#).await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (1, vec![1], 0));
}

#[tokio::test]
async fn a_crash_during_a_backoff_keeps_the_attempts() {
    let seen = Scene::play("in_backoff", r#","fail":2,"retry_after_ms":100"#).await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (1, vec![1, 2, 3], 0));
}

#[tokio::test]
async fn a_crash_after_the_dead_letter_may_repeat_the_letter_with_the_same_coordinates() {
    let seen = Scene::play("after_dead_letter", r#","reject":true"#).await;
    assert_eq!((seen.effects, seen.attempts), (0, vec![1, 1]));
    assert_eq!(seen.letters, [letter("rejected"), letter("rejected")]);
    assert_eq!(seen.passed, NEIGHBOURS);
}

#[tokio::test]
async fn a_crash_after_the_completion_repeats_nothing() {
    let seen = Scene::play("after_complete", "").await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (1, vec![1], 0));
    let seen = Scene::play("after_complete", r#","skip":true"#).await;
    assert_eq!((seen.effects, seen.attempts, seen.letters.len()), (0, vec![1], 0));
}

#[tokio::test]
async fn a_crash_before_the_commit_repeats_nothing() {
    let scene = Scene::new().await;
    let Scene { topic, pods, .. } = &scene;
    let mut dying = pods.clone().variable("ONCEWISE_CRASH", "before_commit:5").start(TEST_WORKER);
    let mut sent = 0;
    until("the pod to die", PATIENCE, async || {
        topic.produce(Record::new(format!("key-{sent}"), format!(r#"{{"id":"event-{sent}"}}"#))).await;
        sent += 1;
        dying.ended().ok_or(sent)
    })
    .await;
    let settled = pods.effects().all().len() as i64;
    let (committed, _) = committed(&pods.group, topic).await[&0].clone();
    assert!(committed < settled, "{committed} committed, {settled} took effect: it died somewhere else");

    let _heir = pods.start(TEST_WORKER);
    pods.commit(topic, sent, PATIENCE).await;
    let counts = pods.effects().counts();
    assert_eq!(counts.len() as i64, sent);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
}
