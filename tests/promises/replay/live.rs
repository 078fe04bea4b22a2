//! Beside a live group, and beside each other.

use serde_json::json;

use super::{PATIENCE, Past};
use crate::{
    TEST_WORKER,
    support::{kafka::committed, wait::until},
};

impl Past {
    pub(super) async fn effects_of(&self, id: &str, times: usize) {
        until(&format!("{id} to be attempted"), PATIENCE, async || {
            let count = self.pods.attempts().count(id);
            if count >= times { Ok(()) } else { Err(count) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_live_workers_and_a_replay_meet_at_once_take_effect_once() {
    let past = Past::of(4).await;
    let events = |copy: i64| {
        let past = &past;
        (0..400)
            .map(move |n: i64| past.event(&n.to_string(), r#","sleep_ms":5"#, ((n + copy) % 4) as i32, n / 4))
    };
    past.topic.produce_all(events(0)).await;
    let _pods = [past.pods.start(TEST_WORKER), past.pods.start(TEST_WORKER)];
    let (from, to) = (past.at(0), past.at(100));
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--yes", "--json"]);
    // The same events come once more, in other partitions, while both are at it.
    past.topic.produce_all(events(1)).await;
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(0), "{}", replay.output());
    past.pods.commit(&past.topic, 800, PATIENCE).await;
    assert_eq!(past.effects(), [(1, 400)].into());
    let tally = &super::json_in(&replay.output())["tally"];
    let settled = tally["ran"].as_u64().unwrap() + tally["already_done"].as_u64().unwrap();
    assert!(settled >= 400, "{tally}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_being_processed_is_waited_for() {
    let past = Past::of(1).await;
    let door = past.pods.door("slow");
    past.topic.produce(past.event("slow", &door.order(), 0, 0)).await;
    let _pod = past.pods.start(TEST_WORKER);
    past.effects_of("slow", 1).await;
    let looked = past.replay(0, 1, &["--dry-run"]).await;
    assert_eq!(looked.result(), (Some(0), json!({ "in_progress": 1 })));
    let (from, to) = (past.at(0), past.at(1));
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--yes", "--json"]);
    replay.says("replay ", PATIENCE).await;
    door.open();
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(0), "{}", replay.output());
    assert_eq!(super::counts(&super::json_in(&replay.output())), json!({ "already_done": 1 }));
    assert_eq!((past.pods.attempts().count("slow"), past.pods.effects().count("slow")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_partition_is_replayed_by_one_at_a_time_and_several_by_several() {
    let past = Past::of(2).await;
    past.topic.produce(past.event("long", r#","sleep_ms":600000"#, 0, 0)).await;
    past.topic.produce(past.event("short", "", 1, 0)).await;
    let (from, to) = (past.at(0), past.at(1));
    let range = ["--from", &from, "--to", &to, "--yes", "--json"];
    let mut first = past.start("replay", &[&range[..], &["--partitions", "0"]].concat());
    past.effects_of("long", 1).await;
    let second = past.replay(0, 1, &[]).await;
    let busy = format!("partition 0 of {} is being replayed already", past.topic.name());
    second.assert_says(1, &[&busy]);
    assert_eq!(past.pods.effects().all(), [], "not even the other partition");
    assert_eq!(past.replay(0, 1, &["--partitions", "1"]).await.result(), (Some(0), json!({ "ran": 1 })));

    // One that has died holds its partitions for some seconds only, and those who come wait for that.
    first.kill_9();
    let patient =
        past.replay(0, 1, &["--max", "1", "--mode", "force", "--epoch", "e", "--partitions", "1"]).await;
    assert_eq!(patient.result(), (Some(0), json!({ "ran": 1 })));
    let entries = past.audited().await;
    let refused: Vec<_> = entries.iter().filter(|entry| entry["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 1, "{entries:?}");
    assert!(refused[0]["reason"].as_str().unwrap().contains(&busy), "{refused:?}");
}

/// The tail that the live group has not committed yet is no different: whoever claims first runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replay_has_run_ahead_of_the_live_group_is_not_run_by_it() {
    let past = Past::of(1).await;
    past.events(10).await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "ran": 10 })));
    assert!(committed(&past.pods.group, &past.topic).await.is_empty(), "no group has begun");
    past.is_handled(10).await;
    assert_eq!(past.effects(), [(1, 10)].into());
}
