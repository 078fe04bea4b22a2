//! What is finished beyond the committed offset is known to the next owner, also where the store has lost everything; and
//! only about the very records that it was written about.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, all_committed, committed, move_offset, move_offset_with},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 60;

fn event(id: &str) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}"}}"#))
}

/// One event that waits for a retry all the time, and others behind it.
struct Scene {
    folder: tempfile::TempDir,
    redis: RedisServer,
    topic: TestTopic,
}

impl Scene {
    async fn new() -> Scene {
        let scene = Scene {
            folder: tempfile::tempdir().unwrap(),
            redis: RedisServer::start(false).await,
            topic: TestTopic::new(1).await,
        };
        scene.topic.produce(Record::new("stuck", r#"{"id":"stuck","fail":1,"retry_after_ms":600000}"#)).await;
        scene.topic.produce_all((0..EVENTS).map(|n| event(&format!("event-{n}")))).await;
        scene.topic.produce(Record::new("", "no event at all").keyless()).await;
        scene
    }

    fn pods(&self) -> Pods {
        let pods = Pods::of(self.topic.name(), self.folder.path());
        pods.with("REDIS__URL", &self.redis.url()).with("RETRY__BUDGET", "30m")
    }

    /// Everything but the first event takes effect, and the worker ends politely.
    async fn worked_on(&self, pods: &Pods) {
        let pod = pods.start(TEST_WORKER);
        until("the events", PATIENCE, async || {
            match (pods.effects().all().len(), pods.letters(&self.topic).partitions().await) {
                (EVENTS, Ok(_)) if !pods.letters(&self.topic).read().await.is_empty() => Ok(()),
                other => Err(other),
            }
        })
        .await;
        stopped(pod).await;
    }

    async fn letters(&self, pods: &Pods) -> usize {
        pods.letters(&self.topic).read().await.len()
    }
}

async fn stopped(mut pod: Worker) {
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
}

async fn effect(pods: &Pods, id: &str) {
    until(id, PATIENCE, async || match pods.effects().count(id) {
        0 => Err("no effect"),
        _ => Ok(()),
    })
    .await;
}

fn doubled(pods: &Pods) -> BTreeMap<String, usize> {
    pods.effects().counts().into_iter().filter(|(_, count)| *count > 1).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_polite_hand_over_doubles_nothing_although_the_store_has_lost_everything() {
    let scene = Scene::new().await;
    let pods = scene.pods();
    scene.worked_on(&pods).await;
    let (offset, note) = committed(&pods.group, &scene.topic).await.remove(&0).unwrap();
    assert_eq!(offset, 0, "the first event holds the offset");
    assert!(!note.is_empty());

    // Twice: what an owner has taken over from the one before, it hands on.
    for after in ["after-1", "after-2"] {
        scene.redis.flush().await;
        scene.topic.produce(event(after)).await;
        let pod = pods.start(TEST_WORKER);
        effect(&pods, after).await;
        stopped(pod).await;
    }
    assert_eq!(doubled(&pods), BTreeMap::new());
    assert_eq!(scene.letters(&pods).await, 1, "a record without a key has nothing but its offset");

    // A person who moves the offset, also to where it is, wants everything done again.
    scene.redis.flush().await;
    move_offset(&pods.group, &scene.topic, 0, 0).await;
    let _pod = pods.start(TEST_WORKER);
    until("everything to be done again", PATIENCE, async || match doubled(&pods).len() {
        again if again == EVENTS + 2 => Ok(()),
        other => Err(other),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_topic_that_was_made_again_is_taken_for_finished() {
    let scene = Scene::new().await;
    let pods = scene.pods();
    scene.worked_on(&pods).await;
    let (offset, note) = committed(&pods.group, &scene.topic).await.remove(&0).unwrap();
    let name = scene.topic.name().to_owned();
    scene.topic.delete().await;
    let again = TestTopic::named(&name);
    again.create(1, &[]).await;
    let new = |n| event(&format!("new-{n}"));
    // As long as the one before, so that every offset could be meant.
    again.produce_all((0..EVENTS + 9).map(new)).await;
    // Nobody remembers the topic of before, and somebody has put back what the group had committed there.
    scene.redis.flush().await;
    move_offset_with(&pods.group, &again, 0, offset, &note).await;

    let mut pod = pods.start(TEST_WORKER);
    pod.says("the metadata of the commit is left aside", PATIENCE).await;
    all_committed(&pods.group, &again, PATIENCE).await;
    let counts = pods.effects().counts();
    assert!((0..EVENTS + 9).all(|n| counts.get(&format!("new-{n}")) == Some(&1)), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notes_of_others_are_left_aside_and_cost_nothing() {
    let topic = TestTopic::new(1).await;
    topic.produce_all((0..20).map(|n| event(&format!("event-{n}")))).await;
    for foreign in ["member of another library", "AQAAAAAAAAAAAAE", &"x".repeat(4096)] {
        let folder = tempfile::tempdir().unwrap();
        let pods = Pods::of(topic.name(), folder.path());
        move_offset_with(&pods.group, &topic, 0, 5, foreign).await;
        let mut pod = pods.start(TEST_WORKER);
        pod.says("the metadata of the commit is left aside", PATIENCE).await;
        all_committed(&pods.group, &topic, PATIENCE).await;
        assert_eq!(pods.effects().all().len(), 15, "{foreign}");
    }
}
