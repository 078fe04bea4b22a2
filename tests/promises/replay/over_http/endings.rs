//! How a replay in a worker ends: told to, with its worker, and without a word.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{
    super::{PATIENCE, Past},
    JSON,
};
use crate::support::{kafka::Record, wait::until};

async fn half_way(past: &Past) {
    until("a third of the effects", PATIENCE, async || match past.pods.effects().all().len() {
        100.. => Ok(()),
        effects => Err(effects),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_replay_is_resumed_and_two_of_one_range_do_not_run_at_once() {
    let past = Past::slow().await;
    let api = past.with_api().await;
    let all = past.range(0, 300);
    let id = api.start(&[&all, &json!({ "rate": 10 })]).await;
    let asked = Instant::now();
    let (status, refused) = api.post(&[&all]).await;
    assert_eq!(status, 409, "{refused}");
    assert!(asked.elapsed() < Duration::from_secs(15), "whoever is alive is not waited for");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains(" is being replayed already; two replays of one partition do not"), "{error}");

    half_way(&past).await;
    let (status, shown) = api.cancel(&id).await;
    assert_eq!((status, &shown["id"]), (202, &json!(id)), "{shown}");
    let shown = api.is(&id, "stopped").await;
    assert_eq!(shown["why"], "it was told to stop");
    let effects = past.pods.effects().all().len();
    assert!(effects < 300, "it was stopped in the middle");
    assert_eq!(past.pods.attempts().all().len(), effects, "nothing was cut off");
    let (status, refused) = api.cancel(&id).await;
    assert_eq!(status, 409, "{refused}");
    let text = format!("replay {id} does not run; it is stopped: it was told to stop");
    assert_eq!(refused["error"], json!(text));

    // Another worker tells it to stop by what both of them see.
    assert_eq!(api.start(&[&json!({ "resume": id, "rate": 1 })]).await, id);
    let other = past.with_api().await;
    assert_eq!(other.cancel(&id).await.0, 202);
    other.is(&id, "stopped").await;
    assert_eq!(api.start(&[&json!({ "resume": id, "rate": 10_000 })]).await, id);
    let shown = other.is(&id, "finished").await;
    let tally = &shown["tally"];
    assert_eq!(tally["ran"].as_u64().unwrap() + tally["already_done"].as_u64().unwrap(), 300, "{shown}");
    assert_eq!(past.effects(), [(1, 300)].into());

    let audited = past.audited().await;
    let verbs: Vec<&str> = audited
        .iter()
        .filter(|act| act["outcome"] == "intended")
        .map(|act| act["verb"].as_str().unwrap())
        .collect();
    let expected =
        ["replay", "replay", "replay cancel", "replay --resume", "replay cancel", "replay --resume"];
    assert_eq!(verbs, expected);
    assert_eq!(audited.iter().filter(|act| act["outcome"] == "refused").count(), 1, "{audited:?}");
}

/// Its handler has seconds to go when the order to resume comes: longer than its claims need to be seen alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_resumes_a_replay_that_was_told_to_stop_waits_until_it_has() {
    let past = Past::of(1).await;
    // Of one key: one after the other.
    let events = (0..4).map(|minute| {
        let event = past.event(&format!("{minute}"), r#","sleep_ms":5000"#, 0, minute);
        Record { key: Some("one".into()), ..event }
    });
    past.topic.produce_all(events).await;
    let (api, other) = (past.with_api().await, past.with_api().await);
    let id = api.start(&[&past.range(0, 4)]).await;
    past.effects_of("0", 1).await;
    assert_eq!(api.cancel(&id).await.0, 202);
    // Here, elsewhere, and from the command line.
    assert_eq!(api.start(&[&json!({ "resume": id })]).await, id);
    past.effects_of("1", 1).await;
    assert_eq!(api.cancel(&id).await.0, 202);
    assert_eq!(other.start(&[&json!({ "resume": id })]).await, id);
    past.effects_of("2", 1).await;
    assert_eq!(api.cancel(&id).await.0, 202);
    assert_eq!(past.does("replay", &["--resume", &id, "--yes"]).await.code, Some(0));
    assert_eq!(api.show(&id).await["state"], "finished");
    assert_eq!((past.effects(), past.pods.attempts().all().len()), ([(1, 4)].into(), 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_ends_with_its_worker_and_goes_on_elsewhere() {
    let past = Past::slow().await;
    let mut api = past.with_api().await;
    let id = api.start(&[&past.range(0, 300)]).await;
    half_way(&past).await;
    api.worker.signal(Signal::TERM);
    assert_eq!(api.worker.wait(PATIENCE).await.code(), Some(0), "{}", api.worker.output());
    let effects = past.pods.effects().all().len();
    assert!(effects < 300, "it ended in the middle");
    assert_eq!(past.pods.attempts().all().len(), effects, "nothing was cut off");
    let next = past.with_api().await;
    assert_eq!(next.show(&id).await["state"], "stopped");
    assert_eq!(past.does("replay", &["--resume", &id, "--yes"]).await.code, Some(0));
    next.is(&id, "finished").await;
    assert_eq!(past.effects(), [(1, 300)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_still_runs_when_the_worker_has_to_end_is_said_to_be_cut_off() {
    let past = Past::of(1).await.with("WORKER__DRAIN_TIMEOUT", "1s");
    past.topic.produce(past.event("stuck", r#","sleep_ms":600000"#, 0, 0)).await;
    let mut api = past.with_api().await;
    let id = api.start(&[&past.range(0, 1)]).await;
    past.effects_of("stuck", 1).await;
    api.worker.signal(Signal::TERM);
    assert_eq!(api.worker.wait(PATIENCE).await.code(), Some(3), "{}", api.worker.output());
    let shown = past.with_api().await.show(&id).await;
    let why = "it was told to stop; some handlers were still running when the time to drain was over";
    assert_eq!((&shown["state"], &shown["why"]), (&json!("stopped"), &json!(why)), "{shown}");
}

/// A replay that was cancelled, and whose handler does not end, goes on holding its event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_on_after_its_replay_was_cancelled_is_not_run_by_another() {
    let past = Past::of(1).await.with("WORKER__DRAIN_TIMEOUT", "1s");
    past.topic.produce(past.event("slow", r#","sleep_ms":12000"#, 0, 0)).await;
    let api = past.with_api().await;
    let id = api.start(&[&past.range(0, 1)]).await;
    past.effects_of("slow", 1).await;
    assert_eq!(api.cancel(&id).await.0, 202);
    api.is(&id, "stopped").await;
    // Longer than a lease: whoever meets it waits for the handler all the same.
    assert_eq!(past.replay(0, 1, &[]).await.result(), (Some(0), json!({ "already_done": 1 })));
    assert_eq!((past.pods.attempts().count("slow"), past.effects()), (1, [(1, 1)].into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_whose_process_has_died_is_said_to_be_interrupted_and_goes_on_elsewhere() {
    let past = Past::slow().await;
    let mut api = past.with_api().await;
    let id = api.start(&[&past.range(0, 300)]).await;
    let other = past.with_api().await;
    half_way(&past).await;
    assert_eq!(other.show(&id).await["state"], "running", "it is alive, and seen to be");
    api.worker.kill_9();
    let shown = other.is(&id, "interrupted").await;
    let listed = other.ask("GET", "/replays", &[], "").await.json();
    assert_eq!(listed["replays"][0], shown);
    let (status, refused) = other.cancel(&id).await;
    let text = format!(
        "replay {id} does not run; it is interrupted: its process has ended without a word, and it can be resumed"
    );
    assert_eq!((status, refused), (409, json!({ "error": text })));

    // Another replay of the same partitions does not make it look alive.
    let beside = other.start(&[&past.range(0, 300), &json!({ "rate": 1 })]).await;
    assert_eq!(other.show(&id).await["state"], "interrupted");
    assert_eq!(other.cancel(&beside).await.0, 202);
    other.is(&beside, "stopped").await;
    assert_eq!(other.start(&[&json!({ "resume": id })]).await, id);
    let tally = other.is(&id, "finished").await["tally"].clone();
    assert_eq!(tally["ran"].as_u64().unwrap() + tally["already_done"].as_u64().unwrap(), 300, "{tally}");
}

/// A look, or a start, that takes longer than its request is asked for by its name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_a_request_is_asked_for_later() {
    let past = Past::of(1).await;
    past.events(20).await;
    let api = past.with_api().await;
    let later = async |order: &Value| {
        let headers = [JSON, ("prefer", "respond-async")];
        let answer = api.ask("POST", "/replays", &headers, &order.to_string()).await;
        let shown = answer.json();
        assert_eq!((answer.status, &shown["state"]), (202, &json!("looking")), "{answer:?}");
        let id = shown["id"].as_str().unwrap().to_owned();
        assert!(answer.head.contains(&format!("/api/v1/replays/{id}")), "{answer:?}");
        id
    };
    let order = |more: Value| {
        let mut order = past.range(0, 10);
        order.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        order
    };
    let id = later(&order(json!({ "dry_run": true }))).await;
    let looked = api.is(&id, "looked").await;
    assert_eq!((&looked["id"], &looked["tally"]["ran"]), (&json!(id), &json!(10)), "{looked}");
    let listed = api.ask("GET", "/replays", &[], "").await.json();
    assert_eq!((&listed["replays"][0]["id"], &listed["replays"][1]), (&json!(id), &json!(null)));
    assert_eq!(past.effects(), [].into());

    let id = later(&order(json!({}))).await;
    assert_eq!(api.is(&id, "finished").await["tally"]["ran"], 10);
    let id = later(&order(json!({ "partitions": "7" }))).await;
    let refused = api.is(&id, "refused").await;
    assert!(refused["error"].as_str().unwrap().contains("has no partition 7"), "{refused}");
}
