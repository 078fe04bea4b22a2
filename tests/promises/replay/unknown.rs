//! What nobody knows is not run unless somebody says so.

use jiff::Timestamp;
use serde_json::json;

use super::{MINUTE, PATIENCE, Past};
use crate::support::{
    kafka::Record,
    redis::{RedisServer, patient_connection},
    wait::until,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_store_has_forgotten_is_refused_and_runs_only_on_demand() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(2).await.on_redis(&redis).with("DEDUPE__TTL", "8s").with("RETRY__BUDGET", "2s");
    past.events(20).await;
    past.is_handled(20).await;
    until("everything to be forgotten", PATIENCE, async || {
        let known: Vec<Vec<u8>> = redis.command(&["KEYS", "*{*"]).await;
        if known.is_empty() { Ok(()) } else { Err(known.len()) }
    })
    .await;
    let looked = past.replay(0, 10, &["--dry-run"]).await;
    assert_eq!(looked.result(), (Some(0), json!({ "unknown": 10, "outside": 10 })));
    assert_eq!(looked.json()["samples"]["unknown"].as_array().unwrap().len(), 5);

    let refused = past.replay(0, 10, &[]).await;
    assert_eq!(refused.result(), (Some(1), json!({ "unknown": 10, "outside": 10 })));
    let error = refused.json()["error"].as_str().unwrap().to_owned();
    assert!(error.contains("of 10 events nobody knows whether they took effect"), "{error}");
    let (from, to) = (past.at(0), past.at(10));
    let text = past.does("replay", &["--from", &from, "--to", &to, "--yes"]).await;
    text.assert_says(1, &["| unknown |", "Nothing was replayed: of 10 events", "--allow-unknown runs them"]);
    assert_eq!(past.effects(), [(1, 20)].into());
    assert!(past.audit.partitions().await.is_err(), "nothing was intended");

    assert_eq!(past.replay(0, 10, &["--allow-unknown"]).await.result().1["ran"], 10);
    assert_eq!(past.effects(), [(1, 10), (2, 10)].into());
}

impl Past {
    /// As if the group had been at work for longer than the store remembers.
    async fn has_begun_long_ago(&self) {
        let mut connection = patient_connection(&self.redis).await;
        let (notes, name) =
            (format!("{}:notes:memory", self.pods.prefix()), format!("{}.obey", self.pods.group));
        let note: String =
            redis::cmd("HGET").arg(&notes).arg(&name).query_async(&mut connection).await.unwrap();
        let mut note: serde_json::Value = serde_json::from_str(&note).unwrap();
        assert!(note.as_object_mut().unwrap().remove("began_ms").is_some(), "{note}");
        let set = redis::cmd("HSET").arg(&notes).arg(&name).arg(note.to_string()).clone();
        set.exec_async(&mut connection).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_time_that_proves_nothing_leaves_an_event_unknown() {
    let past = Past::of(1).await;
    let now = Timestamp::now().as_millisecond();
    let at = |id: &str, time: i64| Record::new(id, format!(r#"{{"id":"{id}"}}"#)).to(0).stamped(time);
    past.topic
        .produce_all([
            at("ancient", now - 9 * 24 * 60 * MINUTE),
            at("recent", now - MINUTE),
            at("to-come", now + 30 * MINUTE),
        ])
        .await;
    past.is_handled(3).await;
    past.has_begun_long_ago().await;
    let ids = ["ancient", "recent", "to-come"];
    past.forget(ids.map(str::to_owned)).await;
    let looked = past.does("replay", &["--from", "0", "--to", "3", "--dry-run", "--json"]).await;
    assert_eq!(looked.result(), (Some(0), json!({ "ran": 1, "unknown": 2 })));
    let refused = past.does("replay", &["--from", "0", "--to", "3", "--yes", "--json"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.said);
    let recent = ["--from", "2h ago", "--to", "now", "--yes", "--json"];
    assert_eq!(past.does("replay", &recent).await.result().1["ran"], 1);
    assert_eq!(past.pods.effects().counts().into_values().collect::<Vec<_>>(), [1, 2, 1]);
}

/// What a server remembers after a restart is true; what it does not remember it may have lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_was_restarted_or_emptied_proves_nothing_about_what_it_does_not_know() {
    let mut redis = RedisServer::start(true).await;
    let past = Past::of(1).await.on_redis(&redis);
    past.events(10).await;
    past.is_handled(10).await;
    past.events(1).await;
    past.topic.produce(past.event("new", "", 0, 3)).await;
    let all = ["--from", "0", "--to", "100", "--json"];
    let looks = async || past.does("replay", &[&all[..], &["--dry-run"]].concat()).await.result().1;
    assert_eq!(looks().await, json!({ "ran": 1, "already_done": 11 }));

    redis.stop().await;
    redis.start_again().await;
    assert_eq!(looks().await, json!({ "unknown": 1, "already_done": 11 }));

    redis.flush().await;
    assert_eq!(looks().await, json!({ "unknown": 12 }));
    // A live worker that begins now does not make it any better.
    past.topic.produce(past.event("live", "", 0, 480)).await;
    past.is_handled(13).await;
    // It has handled what came after the first ten, one of which was the first once more.
    assert_eq!(looks().await, json!({ "unknown": 9, "already_done": 4 }));
}

/// Where a group has never handled anything there is nothing to have been forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_of_a_new_group_that_begin_at_once_know_that_it_is_new() {
    let past = Past::of(2).await;
    past.events(10).await;
    let pods = [past.pods.start(crate::TEST_WORKER), past.pods.start(crate::TEST_WORKER)];
    past.pods.commit(&past.topic, 10, PATIENCE).await;
    for mut pod in pods {
        pod.terminate();
        assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    }
    past.forget(["3".to_owned()]).await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "ran": 1, "already_done": 9 })));
}
