//! Looking, running, and running everything once more.

use std::collections::BTreeSet;

use serde_json::json;

use super::{PATIENCE, Past};
use crate::{
    TEST_WORKER,
    support::{kafka::group_lag, redis::RedisServer},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_writes_nothing_anywhere_and_says_what_would_become_of_each() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(2).await.on_redis(&redis);
    past.topic
        .produce_all([
            past.event("done", "", 0, 0),
            past.event("dead", r#","reject":true"#, 0, 1),
            past.event("skipped", r#","skip":true"#, 1, 2),
        ])
        .await;
    past.is_handled(3).await;
    past.topic
        .produce_all([
            past.event("new", "", 0, 3),
            past.event("new", "", 0, 4),
            past.event("new-too", "", 1, 4),
            past.event("another-time", "", 1, 60),
        ])
        .await;
    let changes = async || {
        let info: String = redis.command(&["INFO", "persistence"]).await;
        let line = info.lines().find(|line| line.starts_with("rdb_changes_since_last_save")).unwrap();
        (line.to_owned(), redis.command::<u64>(&["DBSIZE"]).await)
    };
    let (group, before) = (group_lag(&past.pods.group).await, changes().await);
    let dry = past.replay(0, 10, &["--dry-run"]).await;
    let found = json!({ "ran": 2, "already_done": 3, "already_dead": 1, "outside": 1 });
    assert_eq!(dry.result(), (Some(0), found.clone()));
    let samples = dry.json()["samples"]["will-run"].clone();
    let places: Vec<_> =
        samples.as_array().unwrap().iter().map(|at| (&at["partition"], &at["offset"])).collect();
    assert_eq!(places.len(), 2, "{samples}");
    assert!(
        places.contains(&(&json!(0), &json!(2))) && places.contains(&(&json!(1), &json!(1))),
        "{samples}"
    );

    let verified = past.replay(0, 10, &["--mode", "verify"]).await;
    assert_eq!(verified.result(), (Some(1), found), "something is left to do");
    assert_eq!(past.replay(0, 3, &["--mode", "verify"]).await.code, Some(0), "nothing is left to do");

    assert_eq!(changes().await, before, "nothing was written to Redis");
    assert_eq!(group_lag(&past.pods.group).await, group);
    assert!(past.audit.partitions().await.is_err(), "nothing was written down, for nothing was done");
    assert_eq!(past.effects(), [(1, 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_are_read_by_people() {
    let past = Past::of(2).await;
    past.events(4).await;
    let (from, to) = (past.at(0), past.at(3));
    let looked = past.does("replay", &["--from", &from, "--to", &to, "--dry-run"]).await;
    looked.assert_says(0, &["| topic", "would run", "already done", "other time", "| all"]);
    let first = format!("would run: {}:0@0 ({from})", past.topic.name());
    assert!(looked.said.contains(&first), "{}", looked.said);
    let ran = past.does("replay", &["--from", &from, "--to", &to, "--yes"]).await;
    ran.assert_says(0, &["2 partitions of ", "| ran", "Everything in the range is settled: 3 records."]);
    assert!(!looked.said.contains("has passed"), "{}", looked.said);
    past.is_handled(4).await;
    past.forget(["1".to_owned()]).await;
    let looked = past.does("replay", &["--from", &from, "--to", &to, "--dry-run"]).await;
    looked.assert_says(0, &["1 of those that would run the live group has passed: somebody let them be"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_runs_everything_once_and_handlers_see_the_old_key_unless_told_otherwise() {
    let past = Past::of(2).await;
    past.events(10).await;
    past.is_handled(10).await;
    let force = |epoch| ["--mode", "force", "--epoch", epoch];
    assert_eq!(past.replay(0, 5, &force("mend")).await.result().1["ran"], 5);
    assert_eq!(past.effects(), [(1, 5), (2, 5)].into());
    let key = |n: i64, suffix: &str| format!("{}.obey:{n}{suffix}", past.pods.group);
    assert_eq!(
        past.pods.replayed().counts().into_keys().collect::<Vec<_>>(),
        [0, 1, 2, 3, 4].map(|n| key(n, ""))
    );

    // Of a wider range only what this epoch has not seen runs.
    let again = past.replay(0, 7, &force("mend")).await;
    assert_eq!(again.result(), (Some(0), json!({ "ran": 2, "already_done": 5, "outside": 3 })));
    assert_eq!(past.effects(), [(1, 3), (2, 7)].into());

    assert_eq!(
        past.replay(0, 1, &[&force("other")[..], &["--new-keys"]].concat()).await.result().1["ran"],
        1
    );
    assert_eq!(past.pods.replayed().count(&key(0, "@other")), 1);
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "already_done": 10 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_are_retried_and_dead_lettered_as_in_live_events() {
    let past = Past::of(1).await.with("RETRY__MAX_ATTEMPTS", "2");
    past.topic
        .produce_all([
            past.event("late", r#","fail":1"#, 0, 0),
            past.event("never", r#","fail":9"#, 0, 1),
            past.event("rejected", r#","reject":true"#, 0, 2),
        ])
        .await;
    assert_eq!(past.replay(0, 5, &[]).await.result(), (Some(0), json!({ "ran": 1, "dead_lettered": 2 })));
    assert_eq!(
        past.pods.attempts().counts(),
        [("late", 2), ("never", 2), ("rejected", 1)].map(|(id, n)| (id.to_owned(), n)).into()
    );
    assert_eq!(past.pods.replayed().all().len(), 5, "every attempt knew that it was one of a replay");
    let letters = past.pods.letters(&past.topic).read().await;
    let dispositions: BTreeSet<String> =
        letters.iter().map(|letter| letter.header("oncewise-disposition").unwrap()).collect();
    assert_eq!(dispositions, ["exhausted", "rejected"].map(str::to_owned).into());
    // The live group finds them settled.
    past.is_handled(3).await;
    assert_eq!(past.pods.attempts().all().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_that_is_not_to_be_replayed_is_left_alone() {
    let past = Past::of(1).await;
    let pods = past.pods.clone().and("moments", &format!("{}=moment", past.topic.name()));
    let past = Past { pods, ..past };
    past.events(3).await;
    let (from, to) = (past.at(0), past.at(2));
    let range = ["--service", "moments", "--from", &from, "--to", &to, "--yes", "--json"];
    let found = json!({ "left_out": 2, "outside": 1 });
    assert_eq!(
        past.does("replay", &[&range[..], &["--dry-run"]].concat()).await.result(),
        (Some(0), found.clone())
    );
    assert_eq!(past.does("replay", &range).await.result(), (Some(0), found));
    assert_eq!(past.effects(), [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_replay_is_written_down_before_and_after() {
    let past = Past::of(1).await;
    past.events(3).await;
    let pods = past.pods.clone().variable("USER", "ann");
    let past = Past { pods, ..past };
    let ran = past.replay(0, 3, &[]).await;
    let entries = past.audited().await;
    let [intended, done] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((&intended["verb"], &intended["group"]), (&json!("replay"), &json!(past.pods.group)));
    assert_eq!((&intended["outcome"], &done["outcome"]), (&json!("intended"), &json!("done")));
    assert_eq!((&intended["id"], &intended["before"]["id"]), (&done["id"], &ran.json()["replay"]["id"]));
    assert!(intended["who"].as_str().unwrap().starts_with("ann@"), "{intended}");
    let went: serde_json::Value = serde_json::from_str(done["reason"].as_str().unwrap()).unwrap();
    assert_eq!((&went["state"], &went["tally"]["ran"]), (&json!("finished"), &json!(3)));

    // No record, no act.
    let pods = past.pods.clone().with("TOPICS__AUDIT", "nobody.made.it").with("TOPICS__CREATE", "false");
    let (from, to) = (past.at(0), past.at(3));
    let force = ["replay", "--from", &from, "--to", &to, "--yes", "--mode", "force", "--epoch", "e"];
    let mut refused = pods.command(TEST_WORKER, &force);
    assert_eq!(refused.wait(PATIENCE).await.code(), Some(1), "{}", refused.output());
    assert!(refused.output().contains("nothing was done, for it cannot be written"), "{}", refused.output());
    assert_eq!(past.effects(), [(1, 3)].into());
}
