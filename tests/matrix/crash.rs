//! A pod dies at each step of an event's way, and its heir finds it and its neighbours.

use crate::{
    case::{Case, PATIENCE, events, now},
    checker::inputs::Inflicted,
    support::wait::until,
};

/// How often the victim took effect, and how many letters are about it.
struct Seen {
    effects: usize,
    letters: usize,
}

/// The victim does `order` in a pod that dies at `point`; an heir takes over, with neighbours behind the victim.
async fn dies_at(point: &str, order: &str) -> Seen {
    let mut case = Case::new(1).await;
    case.send(events("victim", 0..1, 1, order)).await;
    let at = now();
    let mut dying = case.start_with("ONCEWISE_CRASH", point);
    let status = dying.wait(PATIENCE).await;
    assert_eq!(status.code(), None, "it ended by itself: {status}");
    case.inflicted(Inflicted::Crash, at, Some(dying.pid()));
    case.send(events("neighbour", 1..40, 20, "")).await;
    let _heir = case.start();
    case.holds().await;
    let counts = case.pods.effects().counts();
    let neighbours: usize = counts.iter().filter(|(id, _)| id.starts_with("neighbour")).map(|(_, n)| n).sum();
    assert_eq!(neighbours, 39, "neighbours are doubled by nobody's death");
    let letters = case.pods.letters(&case.topic).read().await.len();
    Seen { effects: counts.get("victim-0").copied().unwrap_or(0), letters }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_02_a_crash_after_the_claim_leaves_one_effect() {
    let seen = dies_at("after_claim", "").await;
    assert_eq!((seen.effects, seen.letters), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_03_a_crash_after_the_effect_leaves_two_and_one_where_the_handler_knows() {
    let seen = dies_at("after_effect", "").await;
    assert_eq!((seen.effects, seen.letters), (2, 0));
    let seen = dies_at("after_effect", r#","applied":true"#).await;
    assert_eq!((seen.effects, seen.letters), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_04_a_crash_after_the_completion_leaves_one_effect() {
    let seen = dies_at("after_complete", "").await;
    assert_eq!((seen.effects, seen.letters), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_05_a_crash_before_a_commit_leaves_one_effect_of_each() {
    let mut case = Case::new(1).await;
    let at = now();
    let mut dying = case.start_with("ONCEWISE_CRASH", "before_commit:4");
    // Each commit needs something to commit.
    until("the pod to die", PATIENCE, async || {
        let sent = case.sent();
        case.send(events("event", sent..sent + 5, 5, "")).await;
        dying.ended().ok_or(sent)
    })
    .await;
    case.inflicted(Inflicted::Crash, at, Some(dying.pid()));
    let _heir = case.start();
    case.holds().await;
    // It dies on the thread that polls, while its handlers may be at work.
    assert!(case.doubled() <= 5, "{} doubled", case.doubled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_07_a_crash_after_a_letter_leaves_two_of_them_at_most() {
    let seen = dies_at("after_dead_letter", r#","reject":true"#).await;
    assert_eq!((seen.effects, seen.letters), (0, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_08_a_payload_that_kills_every_pod_gets_its_letter() {
    let mut case = Case::new(1).await.with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "2000");
    case.send(events("deadly", 0..1, 1, r#","abort":true"#)).await;
    case.send(events("event", 1..30, 10, r#","sleep_ms":20"#)).await;
    let mut at = now();
    let mut pod = case.start();
    until("its letter", PATIENCE * 2, async || {
        if pod.ended().is_some() {
            case.inflicted(Inflicted::Crash, at, Some(pod.pid()));
            at = now();
            pod = case.start();
        }
        let letters = case.pods.letters(&case.topic);
        match letters.partitions().await {
            Ok(_) if !letters.read().await.is_empty() => Ok(()),
            other => Err(other),
        }
    })
    .await;
    case.holds().await;
    assert_eq!(case.pods.effects().counts().len(), 29);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_09_panics_are_failures() {
    let mut case = Case::new(1).await;
    case.send(events("panics", 0..5, 5, r#","panic":2"#)).await;
    case.send(events("always", 5..7, 2, r#","panic":1000"#)).await;
    let pods = case.pods.clone().with("RETRY__MAX_ATTEMPTS", "4");
    let mut pod = pods.start(crate::TEST_WORKER);
    case.holds().await;
    assert_eq!(case.pods.letters(&case.topic).read().await.len(), 2);
    assert!(pod.ended().is_none(), "the process lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_10_handlers_that_block_every_thread_keep_their_claims() {
    let mut case = Case::new(2).await.with("DEDUPE__LEASE", "2s");
    case.send(events("blocks", 0..4, 4, r#","block_ms":7000"#)).await;
    let _one = case.joined().await;
    let _other = case.joined().await;
    case.holds().await;
    assert_eq!(case.doubled(), 0);
}
