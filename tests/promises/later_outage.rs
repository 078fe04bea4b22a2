//! What is tried later, and what it needs is away for a while: shorter or longer than the delays.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A service, and the file that stands for what is away.
struct Scene {
    folder: tempfile::TempDir,
    topic: TestTopic,
    pods: Pods,
    away: PathBuf,
}

impl Scene {
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(2).await;
        let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "3");
        let away = folder.path().join("away");
        fs::write(&away, "").unwrap();
        Scene { folder, topic, pods, away }
    }

    async fn produce(&self, events: usize) {
        let away = self.away.display();
        let record = |number: usize| {
            Record::new(format!("k{number}"), format!(r#"{{"id":"e{number}","away":"{away}"}}"#))
                .to((number % 2) as i32)
        };
        self.topic.produce_all((0..events).map(record)).await;
    }

    async fn attempts(&self, least: usize) {
        until(&format!("{least} attempts"), PATIENCE, async || {
            let made = self.pods.attempts().all().len();
            if made >= least { Ok(()) } else { Err(made) }
        })
        .await;
    }

    /// What was away is back: how long it takes until all is done. Nothing is dead.
    async fn comes_back(self, events: usize) -> Duration {
        fs::remove_file(&self.away).unwrap();
        let back = Instant::now();
        until("all effects", PATIENCE, async || {
            let seen = self.pods.effects().counts();
            if seen.len() == events { Ok(()) } else { Err(seen.len()) }
        })
        .await;
        let took = back.elapsed();
        assert!(self.pods.effects().counts().values().all(|count| *count == 1));
        assert_eq!(self.pods.letters(&self.topic).read().await, []);
        drop(self.folder);
        took
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_is_shorter_than_the_delays_is_over_when_they_are() {
    let scene = Scene::new().await;
    scene.produce(3).await;
    let _pod = scene.pods.clone().with("RETRY__LATER", "4s").start(TEST_WORKER);
    scene.pods.commit(&scene.topic, 3, PATIENCE).await;
    let took = scene.comes_back(3).await;
    assert!(took < Duration::from_secs(4 + 3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_is_longer_than_all_delays_writes_no_letter_and_is_over_within_seconds() {
    let scene = Scene::new().await;
    scene.produce(12).await;
    let pods = scene.pods.clone().with("RETRY__LATER", "500ms, 1s").with("BREAKER__MINIMUM", "5");
    let pods = pods.with("BREAKER__PROBE_AT_LEAST_EVERY", "2s");
    let mut pod = pods.start(TEST_WORKER);
    pod.says("the breaker opens", PATIENCE).await;
    // A good while longer than all attempts of an event would last.
    let made = pods.attempts().all().len();
    scene.attempts(made + 4).await;
    let took = scene.comes_back(12).await;
    assert!(took < Duration::from_secs(2 + 3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_alone_outlasts_an_outage_and_a_restart_where_it_may() {
    let scene = Scene::new().await;
    scene.produce(1).await;
    let pods = scene.pods.clone().with("RETRY__AT_LEAST", "5m").with("RETRY__MAX_DELAY", "500ms");
    for made in [6, 12] {
        let mut pod = pods.start(TEST_WORKER);
        scene.attempts(made).await;
        pod.terminate();
        assert!(pod.wait(Duration::from_secs(30)).await.success());
    }
    let _pod = pods.start(TEST_WORKER);
    scene.attempts(15).await;
    let took = scene.comes_back(1).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_event_alone_is_a_letter_after_its_attempts_unless_told_otherwise() {
    let scene = Scene::new().await;
    scene.produce(1).await;
    let _pod = scene.pods.start(TEST_WORKER);
    scene.pods.commit(&scene.topic, 1, PATIENCE).await;
    let letters = scene.pods.letters(&scene.topic).read().await;
    let said =
        ["disposition", "attempts"].map(|name| letters[0].header(&format!("oncewise-{name}")).unwrap());
    assert_eq!(said, ["exhausted", "3"]);
}
