//! A replay that ends before its end goes on where it was left.

use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{PATIENCE, Past, json_in};
use crate::support::{process::Worker, wait::until};

const EVENTS: i64 = 300;

impl Past {
    /// Events that take their time, eight at once.
    pub(super) async fn slow() -> Past {
        let past = Past::of(2).await.with("WORKER__CONCURRENCY", "8");
        past.events_that(EVENTS, r#","sleep_ms":150"#).await;
        past
    }

    /// A replay of everything that has had some effects, and how it is called.
    async fn half_way(&self) -> (Worker, String) {
        let (from, to) = (self.at(0), self.at(EVENTS));
        let replay = self.start("replay", &["--from", &from, "--to", &to, "--yes", "--json"]);
        until("a third of the effects", PATIENCE, async || {
            let effects = self.pods.effects().all().len();
            if effects >= 100 { Ok(()) } else { Err((effects, replay.output())) }
        })
        .await;
        let id = id_of(&replay.output());
        (replay, id)
    }

    async fn resume(&self, id: &str, args: &[&str]) -> super::Ran {
        self.does("replay", &[&["--resume", id, "--yes", "--json"], args].concat()).await
    }
}

fn id_of(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("replay ")).unwrap_or_else(|| panic!("{said}"));
    line.split(':').next().unwrap().to_owned()
}

fn all_settled(shown: &Value) {
    let tally = &shown["tally"];
    let settled = tally["ran"].as_i64().unwrap() + tally["already_done"].as_i64().unwrap();
    assert_eq!(settled, EVENTS, "{tally}");
    let parts = shown["replay"]["parts"].as_array().unwrap();
    assert!(parts.iter().all(|part| part["at"] == part["end"]), "{parts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_was_killed_goes_on_and_ends_with_the_same_totals() {
    let past = Past::slow().await;
    let (mut replay, id) = past.half_way().await;
    replay.kill_9();
    let before = past.pods.effects().all().len();
    assert!(before < EVENTS as usize, "it was killed in the middle");
    let ran = past.resume(&id, &[]).await;
    assert_eq!(ran.code, Some(0), "{}", ran.said);
    all_settled(&ran.json());
    assert!(
        ran.json()["tally"]["ran"].as_i64().unwrap() > 50,
        "what was done before it was killed counts: {}",
        ran.said
    );
    // Only what ran at that moment may have taken effect without being known to.
    let counts = past.pods.effects().counts();
    let twice = counts.values().filter(|count| **count > 1).count();
    assert_eq!(counts.len(), EVENTS as usize);
    assert!(twice <= 8 && counts.values().all(|count| *count <= 2), "{twice} twice");
    past.resume(&id, &[]).await.assert_says(2, &[&format!("--resume {id}: it is finished")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_that_is_interrupted_finishes_what_runs_and_says_how_to_go_on() {
    let past = Past::slow().await;
    let (mut replay, id) = past.half_way().await;
    replay.signal(Signal::INT);
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    let shown = json_in(&replay.output());
    assert_eq!(shown["replay"]["state"], "stopped");
    let effects = past.pods.effects().all().len();
    assert!(effects < EVENTS as usize, "it was stopped in the middle");
    assert_eq!(past.pods.attempts().all().len(), effects, "nothing was cut off");

    let ran = past.does("replay", &["--resume", &id]).await;
    ran.assert_says(0, &["Everything in the range is settled: 300 records."]);
    assert_eq!(past.effects(), [(1, EVENTS as usize)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_interrupts_twice_does_not_wait() {
    let past = Past::of(1).await;
    past.topic.produce(past.event("stuck", r#","sleep_ms":600000"#, 0, 0)).await;
    let (from, to) = (past.at(0), past.at(1));
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--yes"]);
    until("the handler to begin", PATIENCE, async || {
        if past.pods.attempts().count("stuck") == 1 { Ok(()) } else { Err(replay.output()) }
    })
    .await;
    replay.signal(Signal::INT);
    replay.says("stopping; once more does not wait", PATIENCE).await;
    replay.signal(Signal::INT);
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_runs_at_the_drain_deadline_is_said_to_be_cut_off() {
    let past = Past::of(1).await.with("WORKER__DRAIN_TIMEOUT", "1s");
    past.topic.produce(past.event("stuck", r#","sleep_ms":600000"#, 0, 0)).await;
    let (from, to) = (past.at(0), past.at(1));
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--yes", "--json"]);
    past.effects_of("stuck", 1).await;
    replay.signal(Signal::INT);
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(3), "{}", replay.output());
    let why = json_in(&replay.output())["replay"]["why"].clone();
    assert_eq!(why, "it was told to stop; some handlers were still running when the time to drain was over");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_was_overtaken_does_not_write_over_what_became_of_it() {
    let past = Past::slow().await;
    let (mut replay, id) = past.half_way().await;
    replay.freeze();
    past.resume(&id, &[]).await.assert_says(0, &[]);
    replay.thaw();
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    past.resume(&id, &[]).await.assert_says(2, &[&format!("--resume {id}: it is finished")]);
}

/// Where a topic has another name, or the service another group, it is about something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_only_where_its_topics_and_its_group_are_the_same() {
    let past = Past::of(1).await;
    let other = Past::of(1).await;
    past.events(10).await;
    let id = past.replay(0, 10, &["--max", "2"]).await.json()["replay"]["id"].as_str().unwrap().to_owned();
    let names = format!("TOPICS__NAMES__{}", past.topic.name());
    let moved = Past { pods: past.pods.clone().with(&names, other.topic.name()), ..other };
    let text = format!("here {} does not read {}:0", past.pods.group, past.topic.name());
    moved.resume(&id, &[]).await.assert_says(2, &[&text]);
    let group = format!("SERVICES__{}__GROUP", past.pods.group.to_uppercase());
    let renamed = Past { pods: past.pods.clone().with(&group, "another"), ..moved };
    renamed.resume(&id, &[]).await.assert_says(2, &["and here the group is another"]);
    assert_eq!(past.resume(&id, &["--max", "20"]).await.result(), (Some(0), json!({ "ran": 10 })));
    assert_eq!(past.effects(), [(1, 10)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_than_so_many_and_not_faster_than_so_many_a_second() {
    let past = Past::of(2).await;
    past.events(200).await;
    let part = past.replay(0, 200, &["--max", "50"]).await;
    assert_eq!(part.result(), (Some(1), json!({ "ran": 50 })));
    let shown = part.json();
    assert_eq!(shown["replay"]["state"], "stopped");
    let id = shown["replay"]["id"].as_str().unwrap();
    assert_eq!(past.resume(id, &[]).await.result(), (Some(1), json!({ "ran": 100 })), "as many once more");
    let began = Instant::now();
    let rest = past.resume(id, &["--max", "1000", "--rate", "50"]).await;
    assert_eq!(rest.result(), (Some(0), json!({ "ran": 200 })));
    assert!(began.elapsed().as_millis() >= 1900, "100 records at 50 a second took {:?}", began.elapsed());
    assert_eq!(past.effects(), [(1, 200)].into());
}

/// What was ordered was about the partitions there were.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grows_meanwhile_does_not_change_what_is_replayed() {
    let past = Past::of(1).await;
    past.events(20).await;
    let part = past.replay(0, 300, &["--max", "10"]).await;
    let shown = part.json();
    past.topic.grow(2).await;
    past.topic.produce_all([past.event("later", "", 0, 5), past.event("elsewhere", "", 1, 5)]).await;
    let id = shown["replay"]["id"].as_str().unwrap();
    assert_eq!(past.resume(id, &["--max", "1000"]).await.result(), (Some(0), json!({ "ran": 20 })));
    assert_eq!(past.effects(), [(1, 20)].into());
}

/// Offsets of one topic mean nothing in another of the same name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_does_not_go_on_in_a_topic_that_was_made_again() {
    let past = Past::of(2).await;
    past.events(20).await;
    let first = past.replay(0, 20, &["--max", "4"]).await;
    let id = first.json()["replay"]["id"].as_str().unwrap().to_owned();
    past.topic.delete().await;
    past.topic.create(2, &[("retention.ms", "-1")]).await;
    past.events(20).await;
    let resumed = past.resume(&id, &["--max", "100"]).await;
    resumed.assert_says(2, &["was deleted and made again since"]);
    assert_eq!(past.effects(), [(1, 4)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_whose_topic_is_deleted_ends_and_says_so() {
    let past = Past::of(1).await;
    for n in 0..40 {
        past.topic.produce(past.event(&n.to_string(), "", 0, n)).await;
    }
    let (from, to) = (past.at(0), past.at(40));
    // One record is fetched at a time, or all of them would be here before the topic is gone.
    let past = past.with("KAFKA__PROPERTIES__FETCH_MESSAGE_MAX_BYTES", "1");
    let past = past.with("KAFKA__PROPERTIES__QUEUED_MIN_MESSAGES", "1");
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--rate", "1", "--yes", "--json"]);
    until("some effects", PATIENCE, async || match past.pods.effects().all().len() {
        0 | 1 => Err(replay.output()),
        _ => Ok(()),
    })
    .await;
    past.topic.delete().await;
    assert_eq!(replay.wait(PATIENCE).await.code(), Some(1), "{}", replay.output());
    let why = json_in(&replay.output())["replay"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("is not there any more"), "{why}");
}
