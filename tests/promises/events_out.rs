//! What a handler publishes: in its topic before the handler's own event is finished, under ids that every attempt
//! repeats, and not at all unless the handler is done.

use std::{path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic, committed},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const NOT_YET: &str = "the events out are not there yet";

/// A topic in, a topic out, and pods between them.
struct Scene {
    source: TestTopic,
    out: TestTopic,
    pods: Pods,
    folder: TempDir,
}

impl Scene {
    async fn new() -> Scene {
        Scene::with_out(&[]).await
    }

    async fn with_out(config: &[(&str, &str)]) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let (source, out) = (TestTopic::new(1).await, TestTopic::with_config(1, config).await);
        let pods = Pods::of(source.name(), folder.path())
            .soon_missed()
            .with("WORKER__DRAIN_TIMEOUT", "60s")
            .variable("ONCEWISE_TEST_PUBLISHES", "out")
            .variable("ONCEWISE_TEST_INBOX", inbox(folder.path()).to_str().unwrap())
            .with("DEAD_LETTER__DELIVERY_TIMEOUT", "5s")
            .with("TOPICS__NAMES__OUT", out.name());
        Scene { source, out, pods, folder }
    }

    fn start(&self) -> Worker {
        self.pods.start(TEST_WORKER)
    }

    /// One event, under the key `k`, that does `order`.
    async fn produce(&self, order: Value) {
        self.source.produce(Record::new("k", order.to_string())).await;
    }

    async fn committed(&self) -> i64 {
        committed(&self.pods.group, &self.source).await[&0].0
    }

    /// The values of the topic out, as they came.
    async fn out(&self) -> Vec<String> {
        self.out.read().await.iter().map(ReadRecord::value_text).collect()
    }
}

fn inbox(folder: &Path) -> std::path::PathBuf {
    let inbox = folder.join("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    inbox
}

/// An event out with this value.
fn out(value: &str) -> Value {
    json!({"topic": "out", "key": "user-1", "value": value})
}

/// Hexadecimal digits, which take at least half of their length in any batch.
fn incompressible(digits: usize) -> String {
    (0..digits / 32).map(|_| format!("{:032x}", rand::random::<u128>())).collect()
}

fn id(record: &ReadRecord) -> String {
    record.header("ce_id").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_out_is_whole_and_continues_the_trace() {
    let scene = Scene::new().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let order = json!({"id": "e1", "publish": [out("first"), {"topic": "out", "key": "", "value": "second", "name": "receipt"}]});
    let record = Record::new("k", order.to_string());
    scene.source.produce(record.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"))).await;
    let _pod = scene.start();
    scene.pods.until_committed(&scene.source, 0, 1).await;

    let events = scene.out.read().await;
    assert_eq!(events.iter().map(ReadRecord::value_text).collect::<Vec<_>>(), [r#""first""#, r#""second""#]);
    assert_eq!(events.iter().map(ReadRecord::key_text).collect::<Vec<_>>(), ["user-1", ""]);
    assert_eq!(events.iter().map(id).collect::<Vec<_>>(), ["obey:e1:0", "obey:e1:receipt"]);
    for event in &events {
        let header = |name| event.header(name).unwrap();
        assert_eq!(header("ce_source"), scene.pods.group);
        assert_eq!(header("ce_type"), "out");
        assert_eq!(header("ce_specversion"), "1.0");
        assert_eq!(header("content-type"), "application/json");
        let traceparent = header("traceparent");
        assert!(traceparent.starts_with(&format!("00-{trace}-")), "{traceparent}");
        assert!(!traceparent.contains("00f067aa0ba902b7"), "a span of its own: {traceparent}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_handler_that_is_done_publishes() {
    let scene = Scene::new().await;
    scene.produce(json!({"id": "rejected", "reject": true, "publish": [out("rejected")]})).await;
    scene.produce(json!({"id": "skipped", "skip": true, "publish": [out("skipped")]})).await;
    scene
        .produce(json!({"id": "late", "effect_then_fail": 2, "retry_after_ms": 1, "publish": [out("late")]}))
        .await;
    let elsewhere = json!({"topic": "elsewhere", "key": "", "value": ""});
    scene.produce(json!({"id": "astray", "publish": [out("astray"), elsewhere]})).await;
    let named = |value| json!({"topic": "out", "key": "", "value": value, "name": "same"});
    scene.produce(json!({"id": "twins", "publish": [named("one"), named("two")]})).await;
    let _pod = scene.start();
    scene.pods.until_committed(&scene.source, 0, 5).await;

    assert_eq!(scene.out().await, [r#""late""#]);
    assert_eq!(id(&scene.out.read().await[0]), "obey:late:0");
    let letters = scene.pods.letters(&scene.source).read().await;
    let why = |letter: &ReadRecord| {
        ["disposition", "error"].map(|name| letter.header(&format!("oncewise-{name}")).unwrap())
    };
    let expected = [
        "rejected as ordered",
        "`elsewhere` is no topic that this service publishes to; add it with `Service::publishes`",
        "two events out of one event are named `same`; their names must differ",
    ];
    assert_eq!(
        letters.iter().map(why).collect::<Vec<_>>(),
        expected.map(|error| ["rejected".to_owned(), error.to_owned()])
    );
}

/// A pod dies at `point` over an event that publishes, and another one finishes it. Effects of the event, and the ids
/// in the topic out.
async fn dies_at(point: &str, inbox: bool) -> (usize, Vec<String>) {
    let scene = Scene::new().await;
    scene.produce(json!({"id": "e1", "inbox": inbox, "publish": [out("one"), out("two")]})).await;
    let mut dying = scene.pods.clone().variable("ONCEWISE_CRASH", point).start(TEST_WORKER);
    assert_eq!(dying.wait(PATIENCE).await.code(), None, "it dies at {point}");
    let _heir = scene.start();
    scene.pods.until_committed(&scene.source, 0, 1).await;
    (scene.pods.effects().count("e1"), scene.out.read().await.iter().map(id).collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_events_are_sent_loses_none_of_them() {
    let (effects, ids) = dies_at("after_effect", false).await;
    assert_eq!((effects, ids), (2, vec!["obey:e1:0".to_owned(), "obey:e1:1".to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_the_events_are_sent_sends_the_same_ids_again() {
    let (effects, ids) = dies_at("after_publish", false).await;
    assert_eq!((effects, ids), (2, ["0", "1", "0", "1"].map(|name| format!("obey:e1:{name}")).to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_an_inbox_there_is_one_effect_and_its_events_are_sent_all_the_same() {
    let (effects, ids) = dies_at("after_effect", true).await;
    assert_eq!((effects, ids), (1, vec!["obey:e1:0".to_owned(), "obey:e1:1".to_owned()]));
    let (effects, ids) = dies_at("after_publish", true).await;
    assert_eq!((effects, ids), (1, ["0", "1", "0", "1"].map(|name| format!("obey:e1:{name}")).to_vec()));
    let (effects, ids) = dies_at("after_complete", true).await;
    assert_eq!((effects, ids.len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_of_two_services_takes_effect_once_end_to_end() {
    let scene = Scene::new().await;
    for n in 0..50 {
        // In some, the first attempt fails after its effect; in all, the inbox has one effect.
        let order = json!({"id": format!("e{n}"), "inbox": true, "effect_then_fail": u32::from(n % 5 == 0), "publish": [out(&format!("receipt-{n}"))]});
        scene
            .source
            .produce_all([
                Record::new(format!("k{n}"), order.to_string()),
                Record::new(format!("k{n}"), order.to_string()),
            ])
            .await;
    }
    let mut dying = scene.pods.clone().variable("ONCEWISE_CRASH", "after_publish:25").start(TEST_WORKER);
    assert_eq!(dying.wait(PATIENCE).await.code(), None);
    let follower = format!("{}_follower", scene.pods.group);
    let pods = scene.pods.clone().and(&follower, &format!("{}=follow", scene.out.name()));
    let _pod = pods.start(TEST_WORKER);
    scene.pods.until_committed(&scene.source, 0, 100).await;
    let sent = scene.out.read().await.len();
    assert!(sent > 50, "the one that died had sent what was sent again: {sent}");
    until("every event out to be followed", PATIENCE, async || {
        let place = committed(&follower, &scene.out).await;
        let there = place.get(&0).is_some_and(|(offset, _)| usize::try_from(*offset) == Ok(sent));
        if there { Ok(()) } else { Err(place) }
    })
    .await;
    let counts = scene.pods.effects().counts();
    for n in 0..50 {
        assert_eq!([format!("e{n}"), format!("receipt-{n}")].map(|id| counts[&id]), [1, 1], "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_broker_refuses_an_event_out_its_handlers_event_is_not_finished() {
    let scene = Scene::new().await;
    let mut pod = scene.start();
    scene.pods.until_committed(&scene.source, 0, 0).await;
    scene.out.delete().await;
    scene.produce(json!({"id": "e1", "publish": [out("one")]})).await;
    scene.source.produce(Record::new("other", r#"{"id":"e2"}"#)).await;
    pod.says(NOT_YET, PATIENCE).await;
    until("its neighbour to take effect", PATIENCE, async || {
        if scene.pods.effects().count("e2") == 1 { Ok(()) } else { Err(()) }
    })
    .await;
    assert_eq!(scene.committed().await, 0);
    scene.out.create(1, &[]).await;
    scene.pods.until_committed(&scene.source, 0, 2).await;
    assert_eq!(scene.out().await, [r#""one""#]);
    assert_eq!(scene.pods.attempts().counts().into_values().collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_stops_sends_its_events_out_before_it_ends() {
    let scene = Scene::new().await;
    let mut pod = scene.start();
    scene.pods.until_committed(&scene.source, 0, 0).await;
    scene.out.delete().await;
    scene.produce(json!({"id": "e1", "publish": [out("one")]})).await;
    pod.says(NOT_YET, PATIENCE).await;
    pod.terminate();
    pod.says("draining", PATIENCE).await;
    scene.out.create(1, &[]).await;
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    assert_eq!((scene.committed().await, scene.out().await), (1, vec![r#""one""#.to_owned()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_out_that_is_too_large_for_ever_is_dead_lettered_and_nothing_sticks() {
    let scene = Scene::with_out(&[("max.message.bytes", "10000")]).await;
    scene.produce(json!({"id": "e1", "publish": [out(&incompressible(50_000))]})).await;
    scene.produce(json!({"id": "e2", "publish": [out("small")]})).await;
    let _pod = scene.start();
    scene.pods.until_committed(&scene.source, 0, 2).await;
    assert_eq!(scene.out().await, [r#""small""#]);
    let letters = scene.pods.letters(&scene.source).read().await;
    let error = letters[0].header("oncewise-error").unwrap();
    assert!(error.starts_with("it took effect, but the events it published were not all taken: "), "{error}");
    assert_eq!((letters.len(), letters[0].header("oncewise-disposition").unwrap().as_str()), (1, "rejected"));
    drop(scene.folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_not_start_without_the_topics_it_publishes_to() {
    let scene = Scene::new().await;
    scene.out.delete().await;
    let mut pod = scene.start();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(1));
    let said = pod.output();
    let expected = format!("topic {}: does not exist, and handlers publish to it", scene.out.name());
    assert!(said.contains(&expected), "{said}");
}
