//! What somebody else has written under a key of ours is not touched.

use std::time::Duration;

use oncewise::store::StoreKey;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic, committed},
        pod::Pods,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_waits_behind_a_value_that_is_not_ours_and_goes_on_when_it_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let redis = RedisServer::start(false).await;
    let pods = Pods::of(topic.name(), folder.path()).with("REDIS__URL", &redis.url());
    let key = |id: &str| StoreKey::new(&format!("t.{}", pods.group), &pods.group, "obey", id);
    redis.command_on::<()>("SET", &key("text"), &["somebody's notes"]).await;
    redis.command_on::<()>("RPUSH", &key("list"), &["one", "two"]).await;
    let ids = ["before", "text", "list", "after"];
    topic.produce_all(ids.map(|id| Record::new(id, format!(r#"{{"id":"{id}"}}"#)))).await;
    let mut pod = pods.start(TEST_WORKER);
    for id in ["text", "list"] {
        pod.says(&format!("key=\"{}\"", key(id)), PATIENCE).await;
    }
    pods.until_committed(&topic, 0, 1).await;
    until("the others to take effect", PATIENCE, async || match pods.effects().counts() {
        counts if counts.contains_key("after") && counts.contains_key("before") => Ok(()),
        counts => Err(counts),
    })
    .await;
    assert_eq!(pods.attempts().all().len(), 2, "only what is nobody else's runs");
    assert_eq!(redis.command_on::<String>("GET", &key("text"), &[]).await, "somebody's notes");
    assert_eq!(redis.command_on::<Vec<String>>("LRANGE", &key("list"), &["0", "-1"]).await, ["one", "two"]);
    assert_eq!(committed(&pods.group, &topic).await[&0].0, 1);

    for id in ["text", "list"] {
        redis.command_on::<()>("DEL", &key(id), &[]).await;
    }
    pods.until_committed(&topic, 0, 4).await;
    assert_eq!(pods.effects().counts(), ids.map(|id| (id.to_owned(), 1)).into());
    assert_eq!(pods.letters(&topic).read().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_without_a_time_to_live_gets_one_from_its_next_duplicate() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let redis = RedisServer::start(false).await;
    let pods = Pods::of(topic.name(), folder.path()).with("REDIS__URL", &redis.url());
    let key = StoreKey::new(&pods.prefix(), &pods.group, "obey", "dead");
    redis.command_on::<()>("SET", &key, &["2X1000:3:5::"]).await;
    topic.produce(Record::new("a", r#"{"id":"dead"}"#)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    assert_eq!(pods.attempts().all().len(), 0);
    let days = redis.command_on::<i64>("TTL", &key, &[]).await / 86_400;
    assert!((7..=8).contains(&days), "{days} days");
}
