//! Fifty thousand events of three hours, and the one in the middle.

use std::time::Duration;

use serde_json::json;

use super::{MINUTE, Past};
use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, group_lag},
        redis::RedisServer,
    },
};

const EVENTS: i64 = 50_000;
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_an_hour_that_is_done_nothing_runs_and_of_what_was_never_done_all() {
    let redis = RedisServer::start(false).await;
    let past = Past::of(4).await.on_redis(&redis);
    let minute_of = |n: i64| n * 180 / EVENTS;
    let event = |n: i64| {
        let event = Record::new(n.to_string(), format!(r#"{{"id":"{n}"}}"#)).to((n % 4) as i32);
        event.stamped(past.began + n * 180 * MINUTE / EVENTS)
    };
    past.topic.produce_all((0..EVENTS).map(event)).await;
    let mut pod = past.pods.start(TEST_WORKER);
    past.pods.commit(&past.topic, EVENTS, LONG).await;
    pod.terminate();
    pod.wait(LONG).await;
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());
    let group_before = group_lag(&past.pods.group).await;
    let middle: Vec<i64> = (0..EVENTS).filter(|n| (60..120).contains(&minute_of(*n))).collect();
    let after = (0..EVENTS).filter(|n| minute_of(*n) >= 120).count();

    let nothing = past.replay(60, 120, &[]).await;
    assert_eq!(nothing.result(), (Some(0), json!({ "already_done": middle.len(), "outside": after })));
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());

    past.forget(middle.iter().step_by(33).take(500).map(ToString::to_string)).await;
    let dry = past.replay(60, 120, &["--dry-run"]).await;
    let found = json!({ "ran": 500, "already_done": middle.len() - 500, "outside": after });
    assert_eq!(dry.result(), (Some(0), found.clone()));
    assert_eq!(dry.json()["passed"], 500, "that the live group has met them all is said");
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());
    assert_eq!(past.replay(60, 120, &[]).await.result(), (Some(0), found));
    assert_eq!(past.effects(), [(1, EVENTS as usize - 500), (2, 500)].into());
    let counts = past.pods.effects().counts();
    for n in middle.iter().step_by(33).take(500) {
        assert_eq!(counts[&n.to_string()], 2, "{n} was forgotten");
    }
    assert_eq!(group_lag(&past.pods.group).await, group_before, "the live group's offsets");
}
