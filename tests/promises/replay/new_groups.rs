//! What only replays have finished is known to them later, and so is that it may be forgotten.

use serde_json::json;

use super::{PATIENCE, Past, Ran};
use crate::{
    TEST_WORKER,
    support::{
        kafka::delete_group,
        redis::{RedisServer, store_records_at},
        wait::until,
    },
};

impl Past {
    /// A service that forgets soon, on a Redis of its own.
    async fn forgetful(redis: &RedisServer) -> Past {
        Past::of(2).await.on_redis(redis).with("DEDUPE__TTL", "10s").with("RETRY__BUDGET", "2s")
    }

    /// Waits until nothing is known of any event.
    pub(super) async fn is_forgotten(&self) {
        until("everything to be forgotten", PATIENCE, async || {
            let mut known = store_records_at(&self.redis, &self.pods.prefix()).await;
            // What a replay held is no event.
            known.retain(|record| !record.starts_with("1F"));
            if known.is_empty() { Ok(()) } else { Err(known) }
        })
        .await;
    }
}

fn refused(ran: &Ran, events: usize) {
    ran.assert_says(1, &[&format!("of {events} events nobody knows whether they took effect")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replayed_and_is_forgotten_is_not_taken_for_never_done() {
    let redis = RedisServer::start(false).await;
    let past = Past::forgetful(&redis).await;
    past.events(10).await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "ran": 10 })), "a new group");
    past.is_forgotten().await;
    assert_eq!(past.replay(0, 10, &["--dry-run"]).await.result(), (Some(0), json!({ "unknown": 10 })));
    refused(&past.replay(0, 10, &[]).await, 10);
    // Nor where the store knows nothing at all any more.
    redis.flush().await;
    refused(&past.replay(0, 10, &[]).await, 10);
    assert_eq!(past.effects(), [(1, 10)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_replayed_is_in_the_ledger_when_the_store_has_forgotten_it() {
    let redis = RedisServer::start(false).await;
    let past = Past::forgetful(&redis).await.with("LEDGER__ENABLED", "true");
    past.events(10).await;
    assert_eq!(past.replay(0, 5, &[]).await.result().1["ran"], 5);
    past.is_forgotten().await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "ran": 5, "already_done": 5 })));
    assert_eq!(past.effects(), [(1, 10)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_without_the_ledger_is_known_to_those_that_have_it() {
    let redis = RedisServer::start(false).await;
    let past = Past::forgetful(&redis).await.with("LEDGER__ENABLED", "true");
    past.events(4).await;
    past.is_handled(4).await;
    past.topic.produce(past.event("late", "", 0, 2)).await;
    let elsewhere = past.pods.clone().with("LEDGER__ENABLED", "false");
    let range = ["replay", "--from", "4", "--to", "9", "--allow-unknown", "--yes", "--json"];
    let range = [&range[..2], &["2"], &range[3..]].concat();
    let mut first = elsewhere.command(TEST_WORKER, &range);
    assert_eq!(first.wait(PATIENCE).await.code(), Some(0), "{}", first.output());
    past.is_forgotten().await;
    refused(&past.replay(0, 4, &[]).await, 1);
    assert_eq!(past.effects(), [(1, 5)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_whose_offsets_are_gone_is_not_new() {
    let redis = RedisServer::start(false).await;
    let past = Past::forgetful(&redis).await;
    past.events(5).await;
    past.is_handled(5).await;
    delete_group(&past.pods.group, &past.topic).await;
    // The ledger is switched on: it has nothing of what was finished before.
    let past = past.with("LEDGER__ENABLED", "true");
    let mut pod = past.pods.start(TEST_WORKER);
    let notes = format!("{}:notes:ledger", past.pods.prefix());
    until("the ledger's note", PATIENCE, async || match redis.command::<i64>(&["EXISTS", &notes]).await {
        1 => Ok(()),
        _ => Err(pod.output()),
    })
    .await;
    pod.terminate();
    pod.wait(PATIENCE).await;
    past.is_forgotten().await;
    refused(&past.replay(0, 5, &[]).await, 5);
    assert_eq!(past.effects(), [(1, 5)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_may_be_forgotten_is_not_run_again() {
    let redis = RedisServer::start(false).await;
    let past = Past::forgetful(&redis).await;
    past.events(10).await;
    past.is_handled(10).await;
    let epoch = ["--mode", "force", "--epoch", "e"];
    assert_eq!(past.replay(0, 10, &epoch).await.result(), (Some(0), json!({ "ran": 10 })));
    past.is_forgotten().await;
    refused(&past.replay(0, 10, &epoch).await, 10);
    redis.flush().await;
    refused(&past.replay(0, 10, &epoch).await, 10);
    assert_eq!(past.effects(), [(2, 10)].into());
    let other = past.replay(0, 10, &["--mode", "force", "--epoch", "f"]).await;
    assert_eq!(other.result(), (Some(0), json!({ "ran": 10 })), "another one is new");
}
