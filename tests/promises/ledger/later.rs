//! What becomes of the ledger later: entries are taken away, the topic grows, and a replay takes its time.

use oncewise::store::StoreKey;
use serde_json::json;

use super::{PATIENCE, Scene, counts, entries, once};
use crate::{
    TEST_WORKER,
    support::{
        redis::{patient_connection, shared_url},
        wait::until,
    },
};

impl Scene {
    async fn forget(&self, id: &str) -> (Option<i32>, String) {
        let group = &self.pods.group;
        let words = ["dedupe", "forget", "--service", group, "--handler", "obey", id, "--yes", "--json"];
        let mut forget = self.pods.command(TEST_WORKER, &words);
        (forget.wait(PATIENCE).await.code(), forget.output())
    }

    /// Waits until the store knows nothing of this event; what a replay that died held is there for longer.
    async fn has_forgotten(&self, id: &str) {
        let connection = patient_connection(&shared_url()).await;
        let key = StoreKey::new(&self.pods.prefix(), &self.pods.group, "obey", id).name();
        until("Redis to forget the event", PATIENCE, async || {
            let mut connection = connection.clone();
            let known: Option<String> =
                redis::cmd("GET").arg(&key).query_async(&mut connection).await.unwrap();
            known.map_or(Ok(()), Err)
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_let_be_forgotten_is_forgotten_by_the_ledger_too() {
    let scene = Scene::new().await;
    scene.produce(["a", "b", "c"], "").await;
    scene.is_handled(3).await;
    // By the store and the ledger; the next one by the ledger alone, although its entry may be in another partition now.
    let (code, said) = scene.forget("a").await;
    assert!(code == Some(0) && said.contains(r#""forgotten":true"#), "{said}");
    scene.is_forgotten().await;
    scene.ledger().grow(5).await;
    let (code, said) = scene.forget("b").await;
    assert!(code == Some(0) && said.contains(r#""forgotten":true"#), "{said}");

    let (code, said) = scene.replay(&["--dry-run"]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 2, "already_done": 1 })));
    let (code, said) = scene.replay(&[]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 2, "already_done": 1 })));
    assert_eq!(scene.effects(), [("a", 2), ("b", 2), ("c", 1)].map(|(id, n)| (id.to_owned(), n)).into());
    // They took effect again, and are known again.
    scene.is_forgotten().await;
    let (code, said) = scene.replay(&[]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "already_done": 3 })));
}

/// The store forgets what the replay itself has run before it meets the same events once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_takes_longer_than_memory_reads_the_ledger_again() {
    let ids = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let scene = Scene::new().await.with("WORKER__ORDERING", "none");
    scene.produce(["before"], "").await;
    scene.is_handled(1).await;
    scene.is_forgotten().await;
    scene.produce(ids, "").await;
    scene.produce(["slow-a", "slow-b", "slow-c"], r#","sleep_ms":8000"#).await;
    scene.produce(ids, "").await;
    // One after the other, so that what comes last is met when the first is forgotten.
    let pods = scene.pods.clone().with("WORKER__CONCURRENCY", "1").with("WORKER__MAX_IN_FLIGHT", "1");
    let scene = Scene { pods, ..scene };
    let (code, said) = scene.replay(&["--rate", "2"]).await;
    assert_eq!((code, counts(&said)), (Some(0), json!({ "ran": 13, "already_done": 11 })), "{said}");
    assert!(scene.effects().values().all(|count| *count == 1), "{:?}", scene.effects());
}

/// A replay that dies with an event half done leaves behind that it has begun it, and nobody takes that for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replay_that_died_had_begun_is_unknown_when_the_store_has_forgotten_it() {
    let scene = Scene::new().await;
    scene.produce(["a"], "").await;
    let words = ["replay", "--from", "4h ago", "--to", "now", "--yes", "--json"];
    let dying = scene.pods.clone().variable("ONCEWISE_CRASH", "before_ledger");
    let mut dying = dying.command(TEST_WORKER, &words);
    assert_eq!(dying.wait(PATIENCE).await.code(), None, "{}", dying.output());
    assert_eq!(entries(&scene.pods, &scene.ledger().read().await, &["a"]), ["1B"]);
    scene.has_forgotten("a").await;
    let (code, said) = scene.replay(&[]).await;
    assert!(code == Some(1) && said.contains("nobody knows whether offset 0 "), "{said}");
    assert_eq!(scene.effects(), once(["a"]));
}
