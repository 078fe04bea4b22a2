//! The live group itself goes back.

use jiff::{SignedDuration, Timestamp};
use oncewise::store::StoreKey;
use serde_json::json;

use super::{PATIENCE, Past, Ran};
use crate::{
    TEST_WORKER,
    support::{kafka::committed, redis::RedisServer},
};

impl Past {
    async fn rewind(&self, to: i64, args: &[&str]) -> Ran {
        let to = self.at(to);
        self.does("rewind", &[&["--to", &to, "--json"], args].concat()).await
    }

    async fn offsets(&self) -> Vec<i64> {
        committed(&self.pods.group, &self.topic).await.into_values().map(|(offset, _)| offset).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_back_and_only_what_was_never_done_runs() {
    let past = Past::of(2).await;
    past.events(20).await;
    past.is_handled(20).await;
    past.forget(["3", "11", "14"].map(str::to_owned)).await;
    let looked = past.rewind(10, &["--dry-run"]).await;
    assert_eq!(looked.result(), (Some(0), json!({ "ran": 2, "already_done": 8 })));
    assert_eq!(past.offsets().await, [10, 10]);
    past.rewind(10, &[]).await.assert_says(2, &["add --yes to move"]);

    let moved = past.rewind(10, &["--yes", "--partitions", "0"]).await;
    assert_eq!(moved.result(), (Some(0), json!({ "ran": 1, "already_done": 4 })));
    assert_eq!(past.offsets().await, [5, 10]);
    assert_eq!(past.rewind(10, &["--yes"]).await.code, Some(0));
    assert_eq!(past.offsets().await, [5, 5]);
    past.is_handled(20).await;
    assert_eq!(past.effects(), [(1, 18), (2, 2)].into());
    let entries = past.audited().await;
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert_eq!((&entries[0]["verb"], &entries[0]["outcome"]), (&json!("rewind"), &json!("intended")));
    let moves = json!([{ "topic": past.topic.name(), "partition": 0, "from": 10, "to": 5 }]);
    assert_eq!(entries[0]["before"]["moves"], moves);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_at_work_is_left_alone() {
    let past = Past::of(1).await;
    past.events(10).await;
    let mut pod = past.pods.start(TEST_WORKER);
    past.pods.commit(&past.topic, 10, PATIENCE).await;
    let refused = past.rewind(5, &["--yes"]).await;
    let error = format!("group {} has members: stop its workers first", past.pods.group);
    refused.assert_says(1, &[&error]);
    assert_eq!(past.offsets().await, [10]);
    let entries = past.audited().await;
    assert_eq!(entries[1]["outcome"], "refused", "{entries:?}");
    pod.terminate();
    pod.wait(PATIENCE).await;
    assert_eq!(past.rewind(5, &["--yes"]).await.code, Some(0));
    assert_eq!(past.offsets().await, [5]);
}

/// Forward would leave events out; and a group that has not begun begins as it is configured to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_never_goes_forward() {
    let past = Past::of(1).await;
    past.events(10).await;
    past.rewind(5, &["--yes"]).await.assert_says(0, &["Nothing moves"]);
    assert_eq!(past.offsets().await, [0_i64; 0]);
    past.is_handled(10).await;
    assert_eq!(past.rewind(2, &["--yes"]).await.code, Some(0));
    past.rewind(8, &["--yes"]).await.assert_says(0, &["Nothing moves"]);
    assert_eq!(past.offsets().await, [2]);
    past.does("rewind", &["--to", "soon"]).await.assert_says(2, &["--to `soon` is neither"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_does_not_go_back_to_where_nobody_knows_what_took_effect() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(1).await.on_redis(&redis);
    past.events(10).await;
    past.is_handled(10).await;
    redis.flush().await;
    let refused = past.rewind(5, &["--yes"]).await;
    assert_eq!(refused.result(), (Some(1), json!({ "unknown": 5 })));
    assert!(refused.json()["how"].as_str().unwrap().contains("of 5 events nobody knows"), "{}", refused.said);
    assert_eq!(past.offsets().await, [10]);
    assert_eq!(past.rewind(5, &["--yes", "--allow-unknown"]).await.code, Some(0));
    assert_eq!(past.offsets().await, [5]);
}

/// It is judged now, and meets its events when its workers start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_does_not_go_back_to_what_is_forgotten_before_it_is_there() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(1).await.on_redis(&redis);
    past.events(10).await;
    past.is_handled(10).await;
    let key = StoreKey::new(&past.pods.prefix(), &past.pods.group, "obey", "7");
    let changed: u64 = redis.command_on("EXPIRE", &key, &["3600"]).await;
    assert_eq!(changed, 1);
    let refused = past.rewind(5, &["--yes"]).await;
    refused.assert_says(1, &["Nothing was moved", "59m", "--within"]);
    assert_eq!(past.offsets().await, [10]);
    past.rewind(5, &["--yes", "--within", "2h"]).await.assert_says(1, &["Nothing was moved"]);
    past.rewind(5, &["--yes", "--within", "soon"]).await.assert_says(2, &["--within", "soon"]);
    let looked = past.rewind(5, &["--dry-run"]).await;
    let until = looked.json()["remembered_until"].as_str().unwrap().parse::<Timestamp>().unwrap();
    let left = until.as_second() - Timestamp::now().as_second();
    assert!((3_500..=3_600).contains(&left), "{left}");

    let moved = past.rewind(5, &["--yes", "--within", "30m"]).await;
    // Reckoned once more, from what was left then: not to the millisecond the same.
    let until = [-5, 0, 5].map(|seconds| (until + SignedDuration::from_secs(seconds)).to_string());
    let is_said = until.iter().any(|until| moved.said.contains(&until[..15]));
    assert!(moved.code == Some(0) && is_said, "{until:?}: {}", moved.said);
    assert_eq!(past.offsets().await, [5]);
    past.is_handled(10).await;
    assert_eq!(past.effects(), [(1, 10)].into());
}
