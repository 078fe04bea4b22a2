//! What took effect is known for longer than the store remembers it, and nothing is committed that is not.

mod later;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use oncewise::store::StoreKey;
use serde_json::{Value, json};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic, committed},
        pod::Pods,
        process::Worker,
        redis::{RedisServer, store_records},
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR: i64 = 3_600_000;
const LOST: &str = "may be missing in it";

/// A service that forgets within seconds, and keeps a ledger.
struct Scene {
    topic: TestTopic,
    pods: Pods,
    _folder: tempfile::TempDir,
}

impl Scene {
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::with_config(2, &[("retention.ms", "-1")]).await;
        let pods = Pods::of(topic.name(), folder.path())
            .soon_missed()
            .with("LEDGER__ENABLED", "true")
            .with("RETRY__BUDGET", "1s")
            .with("DEDUPE__TTL", "10s");
        Scene { topic, pods, _folder: folder }
    }

    fn with(self, key: &str, value: &str) -> Scene {
        Scene { pods: self.pods.with(key, value), ..self }
    }

    fn ledger(&self) -> TestTopic {
        ledger_of(&self.pods.prefix(), &self.pods)
    }

    /// Events of three hours ago, with these orders for the handler.
    async fn produce(&self, ids: impl IntoIterator<Item = &'static str>, orders: &str) {
        let time = Timestamp::now().as_millisecond() - 3 * HOUR;
        let event = |id: &str| Record::new(id, format!(r#"{{"id":"{id}"{orders}}}"#)).stamped(time);
        self.topic.produce_all(ids.into_iter().map(event)).await;
    }

    async fn until_committed(&self, records: i64) {
        self.pods.commit(&self.topic, records, PATIENCE).await;
    }

    /// The live group handles everything, and ends.
    async fn is_handled(&self, records: i64) {
        let pod = self.pods.start(TEST_WORKER);
        self.until_committed(records).await;
        ends(pod).await;
    }

    async fn is_forgotten(&self) {
        until("Redis to forget everything", PATIENCE, async || {
            let mut known = store_records(&self.pods.prefix()).await;
            // What a replay held is no event.
            known.retain(|record| !record.starts_with("1F"));
            if known.is_empty() { Ok(()) } else { Err(known) }
        })
        .await;
    }

    /// Replays the last four hours: the exit code, and what was said.
    async fn replay(&self, args: &[&str]) -> (Option<i32>, String) {
        let words = ["replay", "--from", "4h ago", "--to", "now", "--yes", "--json"];
        let mut replay = self.pods.command(TEST_WORKER, &[&words, args].concat());
        let code = replay.wait(PATIENCE).await.code();
        (code, replay.output())
    }

    fn effects(&self) -> BTreeMap<String, usize> {
        self.pods.effects().counts()
    }
}

fn ledger_of(prefix: &str, pods: &Pods) -> TestTopic {
    TestTopic::named(&format!("{prefix}.ledger.{}", pods.group))
}

async fn ends(mut pod: Worker) {
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
}

/// Counts of a replay that are not 0.
fn counts(said: &str) -> Value {
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    let shown: Value = serde_json::from_str(line).unwrap();
    let tally = shown["tally"].as_object().unwrap().iter().filter(|(_, count)| **count != json!(0));
    tally.map(|(name, count)| (name.clone(), count.clone())).collect()
}

fn once<'a>(ids: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, usize> {
    ids.into_iter().map(|id| (id.to_owned(), 1)).collect()
}

/// What a ledger says of these events; `-` where it says nothing.
fn entries(pods: &Pods, ledger: &[ReadRecord], ids: &[&str]) -> Vec<String> {
    let entry = |id: &&str| {
        let key = StoreKey::new(&pods.prefix(), &pods.group, "obey", id).to_string();
        let digest = &key[key.len() - 32..];
        let hex = |record: &ReadRecord| -> String {
            record.key.iter().flatten().map(|byte| format!("{byte:02x}")).collect()
        };
        let found = ledger.iter().rfind(|record| hex(record) == digest);
        found.map_or("-".to_owned(), ReadRecord::value_text)
    };
    ids.iter().map(entry).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_forgotten_is_known_to_the_ledger() {
    let scene = Scene::new().await;
    scene.produce(["a", "b", "c"], "").await;
    scene.produce(["rejected"], r#","reject":true"#).await;
    scene.is_handled(4).await;
    let ledger = scene.ledger().read().await;
    assert_eq!(
        entries(&scene.pods, &ledger, &["a", "b", "c", "rejected", "d"]),
        ["1D", "1D", "1D", "1X", "-"]
    );
    scene.is_forgotten().await;
    // These came after the live group had ended.
    scene.produce(["d", "e", "a"], "").await;

    let (code, said) = scene.replay(&["--dry-run"]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 2, "already_done": 4, "already_dead": 1 })));
    let (code, said) = scene.replay(&[]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 2, "already_done": 4, "already_dead": 1 })));
    assert_eq!(scene.effects(), once(["a", "b", "c", "d", "e"]));
    assert_eq!(scene.pods.attempts().count("rejected"), 1);

    // What the replay ran is in the ledger, too.
    scene.is_forgotten().await;
    let (code, said) = scene.replay(&[]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "already_done": 6, "already_dead": 1 })));
    assert_eq!(scene.effects(), once(["a", "b", "c", "d", "e"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_ledger_what_the_store_has_forgotten_is_refused() {
    let scene = Scene::new().await.with("LEDGER__ENABLED", "false");
    scene.produce(["a", "b", "c"], "").await;
    scene.is_handled(3).await;
    scene.is_forgotten().await;
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains("nobody knows whether they took effect"), "{said}");
    assert_eq!(scene.effects(), once(["a", "b", "c"]));
    assert!(scene.ledger().partitions().await.is_err(), "a ledger that nobody wanted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_ran_does_not_run_again_when_the_store_has_forgotten_it() {
    let scene = Scene::new().await;
    scene.produce(["a", "b", "c"], "").await;
    scene.is_handled(3).await;
    let force = ["--mode", "force", "--epoch", "again"];
    let (code, said) = scene.replay(&force).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 3 })));
    scene.is_forgotten().await;
    let (code, said) = scene.replay(&force).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "already_done": 3 })));
    assert!(scene.effects().values().all(|count| *count == 2), "{:?}", scene.effects());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_ledger_is_written_leaves_the_event_to_the_next_worker() {
    let scene = Scene::new().await.with("DEDUPE__TTL", "60s").with("DEDUPE__LEASE", "2s");
    let pods = &scene.pods;
    scene.produce(["a"], "").await;
    let mut dying = pods.clone().variable("ONCEWISE_CRASH", "before_ledger").start(TEST_WORKER);
    assert_eq!(dying.wait(PATIENCE).await.code(), None, "{}", dying.output());
    let commits = committed(&pods.group, &scene.topic).await;
    assert!(commits.values().all(|(offset, _)| *offset == 0), "{commits:?}");
    assert_eq!((scene.effects(), scene.ledger().read().await.len()), (once(["a"]), 0));

    // A death between the effect and the ledger is one between the effect and its mark: the store must not know what
    // the ledger does not.
    scene.is_handled(1).await;
    assert_eq!(entries(pods, &scene.ledger().read().await, &["a"]), ["1D"]);
    assert_eq!(scene.effects(), BTreeMap::from([("a".to_owned(), 2)]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_takes_nothing_holds_the_watermark_and_nothing_else() {
    let scene = Scene::new().await.with("DEDUPE__TTL", "60s").with("DEAD_LETTER__DELIVERY_TIMEOUT", "2s");
    let (pods, ledger) = (&scene.pods, scene.ledger());
    let mut pod = pods.start(TEST_WORKER);
    pod.says("assigned", PATIENCE).await;
    ledger.alter("max.message.bytes", "10").await;
    scene.produce(["a", "b", "c"], "").await;
    pod.says("the ledger takes nothing", PATIENCE).await;
    until("all effects", PATIENCE, async || {
        if scene.effects() == once(["a", "b", "c"]) { Ok(()) } else { Err(scene.effects()) }
    })
    .await;
    // It is still a member that takes in what comes, and it ends when it is told to.
    scene.produce(["d"], "").await;
    until("the effect of d", PATIENCE, async || pods.effects().counts().remove("d").ok_or("nothing")).await;
    let commits = committed(&pods.group, &scene.topic).await;
    assert!(commits.values().all(|(offset, _)| *offset == 0), "{commits:?}");
    ends(pod).await;
    let commits = committed(&pods.group, &scene.topic).await;
    assert!(commits.values().all(|(offset, _)| *offset == 0), "{commits:?}");

    let mut pod = pods.start(TEST_WORKER);
    pod.says("the ledger takes nothing", PATIENCE).await;
    ledger.alter("max.message.bytes", "1048588").await;
    scene.until_committed(4).await;
    pod.says("the ledger takes what is finished again", PATIENCE).await;
    assert_eq!(entries(pods, &ledger.read().await, &["a", "b", "c", "d"]), ["1D"; 4]);
    assert_eq!(scene.effects(), once(["a", "b", "c", "d"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_was_made_again_is_noticed_and_what_it_had_is_unknown() {
    let scene = Scene::new().await;
    scene.produce(["a", "b"], "").await;
    scene.is_handled(2).await;
    scene.is_forgotten().await;
    let ledger = scene.ledger();
    ledger.delete().await;
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains("does not exist: worker check --create makes it"), "{said}");

    let mut check = scene.pods.command(TEST_WORKER, &["check", "--create"]);
    check.wait(PATIENCE).await;
    let said = check.output();
    assert!(said.contains(LOST), "{said}");
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains(LOST) && said.contains("of 2 events nobody knows"), "{said}");

    let mut pod = scene.pods.start(TEST_WORKER);
    pod.says(LOST, PATIENCE).await;
    ends(pod).await;
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains("of 2 events nobody knows"), "still unknown: {said}");
    assert_eq!(scene.effects(), once(["a", "b"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_entries_are_noticed() {
    let scene = Scene::new().await;
    scene.produce(["a", "b", "c", "d"], "").await;
    scene.is_handled(4).await;
    scene.is_forgotten().await;
    let ledger = scene.ledger();
    ledger.alter("cleanup.policy", "delete").await;
    for partition in 0..2 {
        let (_, end) = ledger.watermarks(partition).await;
        ledger.delete_records(partition, end).await;
    }
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains(LOST) && said.contains("of 4 events nobody knows"), "{said}");
    let mut check = scene.pods.command(TEST_WORKER, &["check"]);
    check.wait(PATIENCE).await;
    assert!(check.output().contains("cleanup.policy=delete"), "{}", check.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_finished_without_the_ledger_is_unknown_to_it() {
    let scene = Scene::new().await;
    scene.produce(["a"], "").await;
    scene.is_handled(1).await;
    scene.produce(["b"], "").await;
    let without = scene.pods.clone().with("LEDGER__ENABLED", "false").start(TEST_WORKER);
    scene.until_committed(2).await;
    ends(without).await;
    scene.is_handled(2).await;
    scene.is_forgotten().await;
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains("of 1 events nobody knows"), "{said}");
    assert_eq!(scene.effects(), once(["a", "b"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_comes_back_empty_is_told_again_what_the_ledger_has() {
    let redis = RedisServer::start(false).await;
    let scene = Scene::new().await.with("REDIS__URL", &redis.url());
    scene.produce(["a", "b"], "").await;
    let pod = scene.pods.start(TEST_WORKER);
    scene.until_committed(2).await;
    redis.flush().await;
    let notes = format!("{}:notes:ledger", scene.pods.prefix());
    until("the ledger's note", PATIENCE, async || match redis.command::<i64>(&["EXISTS", &notes]).await {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    ends(pod).await;
    // What is not in the ledger is known never to have happened.
    scene.produce(["c"], "").await;
    let (code, said) = scene.replay(&[]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 1, "already_done": 2 })));
    assert_eq!(scene.effects(), once(["a", "b", "c"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_groups_have_two_ledgers() {
    let first = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    // The same topic, the same prefix and the same events, but what one group finished says nothing about the other.
    let prefix = first.pods.prefix();
    let second = Pods::of(first.topic.name(), folder.path())
        .with("DEDUPE__PREFIX", &prefix)
        .with("LEDGER__ENABLED", "true");
    first.produce(["a", "b"], "").await;
    first.is_handled(2).await;
    let pod = second.start(TEST_WORKER);
    second.commit(&first.topic, 2, PATIENCE).await;
    ends(pod).await;
    let ledgers = [first.ledger().read().await, ledger_of(&prefix, &second).read().await];
    assert_eq!(ledgers.each_ref().map(Vec::len), [2, 2]);
    assert_eq!(entries(&first.pods, &ledgers[0], &["a", "b"]), ["1D"; 2]);
    assert_eq!(entries(&second, &ledgers[1], &["a", "b"]), ["1D"; 2]);
    assert_eq!(entries(&second, &ledgers[0], &["a", "b"]), ["-"; 2]);
}
