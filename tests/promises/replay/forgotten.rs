//! The store forgets while a replay is under way, or has forgotten what its times promise that it knows.

use jiff::Timestamp;
use oncewise::store::StoreKey;
use serde_json::{Value, json};

use super::{PATIENCE, Past};
use crate::{
    TEST_WORKER,
    support::{kafka::Record, redis::RedisServer, wait::until},
};

const NOW: [&str; 6] = ["--from", "2h ago", "--to", "now", "--yes", "--json"];

/// An event of this moment; all of them share a lane.
fn event(id: &str, orders: &str) -> Record {
    let event = Record::new("user", format!(r#"{{"id":"{id}"{orders}}}"#));
    event.to(0).stamped(Timestamp::now().as_millisecond())
}

impl Past {
    /// As if the event's key had outlived its TTL, and the store had been asked how far back it remembers by now.
    async fn outlives(&self, redis: &RedisServer, id: &str) {
        let notes = format!("{}:notes:memory", self.pods.prefix());
        let handler = format!("{}.obey", self.pods.group);
        let text: String = redis.command(&["HGET", &notes, &handler]).await;
        let mut note: Value = serde_json::from_str(&text).unwrap();
        note["since_ms"] = json!(Timestamp::now().as_millisecond());
        let _: u64 = redis.command(&["HSET", &notes, &handler, &note.to_string()]).await;
        let key = StoreKey::new(&self.pods.prefix(), &self.pods.group, "obey", id);
        let deleted: u64 = redis.command_on("DEL", &key, &[]).await;
        assert_eq!(deleted, 1, "{id} was known");
    }
}

/// What was known when it was read is not when its turn comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_while_it_waits_for_its_turn_does_not_run() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(1).await.on_redis(&redis);
    past.topic.produce(event("pay", "")).await;
    past.is_handled(1).await;
    let door = past.pods.door("slow");
    past.topic.produce(event("slow", &format!(r#","sleep_ms":12000{}"#, door.order()))).await;
    past.topic.produce(event("pay", "")).await;
    let mut replay = past.start("replay", &["--from", "1", "--to", "3", "--yes", "--json"]);
    until("the slow one", PATIENCE, async || match past.pods.attempts().count("slow") {
        0 => Err(replay.output()),
        _ => Ok(()),
    })
    .await;
    past.outlives(&redis, "pay").await;
    door.open();
    let code = replay.wait(PATIENCE).await.code();
    assert_eq!((past.pods.effects().count("slow"), past.pods.effects().count("pay")), (1, 1));
    assert_eq!(code, Some(1), "{}", replay.output());
    let resumed = past.does("replay", &["--from", "1", "--to", "3", "--yes", "--json"]).await;
    assert_eq!(resumed.result(), (Some(1), json!({ "already_done": 1, "unknown": 1 })));
}

/// A duplicate is younger than what it repeats, and a store that is asked in time may know neither.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_is_asked_for_whatever_the_store_does_not_know() {
    let past = Past::of(1).await.with("LEDGER__ENABLED", "true");
    let mut pod = past.pods.start(TEST_WORKER);
    past.topic.produce(event("pay", "")).await;
    past.topic.produce(event("bad", r#","reject":true"#)).await;
    past.pods.commit(&past.topic, 2, PATIENCE).await;
    pod.terminate();
    pod.wait(PATIENCE).await;
    past.forget(["pay", "bad"].map(str::to_owned)).await;
    past.topic.produce(event("pay", "")).await;
    past.topic.produce(event("new", "")).await;
    let known = json!({ "already_done": 2, "already_dead": 1, "ran": 1 });
    let looked = past.does("replay", &[&NOW[..4], &["--dry-run", "--json"]].concat()).await;
    assert_eq!(looked.result(), (Some(0), known.clone()));
    assert_eq!(past.does("replay", &NOW).await.result(), (Some(0), known));
    assert_eq!((past.pods.effects().count("pay"), past.pods.effects().count("new")), (1, 1));
}

/// A policy that evicted for a moment leaves no other trace than a count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_been_evicted_does_not_run() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(1).await.on_redis(&redis);
    past.events(200).await;
    past.is_handled(200).await;
    let set = async |name: &str, value: &str| {
        let _: String = redis.command(&["CONFIG", "SET", name, value]).await;
    };
    set("maxmemory-policy", "volatile-lru").await;
    until("something to be evicted", PATIENCE, async || {
        // Again and again somewhat less than is used: who comes and goes uses some as well.
        let used: String = redis.command(&["INFO", "memory"]).await;
        let used = used.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
        set("maxmemory", &(used.trim().parse::<u64>().unwrap() - 10_000).to_string()).await;
        let stats: String = redis.command(&["INFO", "stats"]).await;
        if stats.contains("evicted_keys:0") { Err(stats) } else { Ok(()) }
    })
    .await;
    set("maxmemory", "0").await;
    set("maxmemory-policy", "noeviction").await;
    let refused = past.replay(0, 200, &[]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    assert!(refused.json()["tally"]["unknown"].as_u64().unwrap() > 0, "{}", refused.said);
    assert_eq!(past.effects(), [(1, 200)].into());
}
