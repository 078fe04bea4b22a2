//! Pods that join, leave and die, one after the other and all the time.

use std::time::{Duration, Instant};

use crate::{
    case::{Case, PATIENCE, events},
    support::{
        kafka::{Commits, committed},
        process::Worker,
        wait::until,
    },
};

/// Keeps a topic busy in the background of a case: sends some events again and again.
async fn feed(case: &mut Case, count: usize, order: &str) {
    let sent = case.sent();
    case.send(events("event", sent..sent + count, 100, order)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_14_twenty_pods_that_join_one_by_one_double_nothing() {
    let mut case = Case::new(8).await.calm().with("WORKER__CONCURRENCY", "4");
    let commits = Commits::watch(&case.pods.group, &case.topic).await;
    let mut pods: Vec<Worker> = vec![case.joined().await];
    for _ in 0..20 {
        feed(&mut case, 60, r#","sleep_ms":10"#).await;
        // A second joins, then the first leaves: the machine could not carry twenty at once.
        pods.push(case.joined().await);
        if pods.len() > 3 {
            let mut oldest = pods.remove(0);
            oldest.terminate();
            assert_eq!(oldest.wait(PATIENCE).await.code(), Some(0), "{}", oldest.output());
        }
    }
    case.holds().await;
    assert_eq!(case.doubled(), 0);
    assert_eq!(case.pods.attempts().all().len(), case.sent(), "no handler was cut off");
    assert_eq!(commits.rewound().await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_17_a_storm_of_joins_ends_and_kills_loses_nothing() {
    const STORM: Duration = Duration::from_secs(120);
    const CONCURRENCY: usize = 4;
    let mut case = Case::new(6).await.with("WORKER__CONCURRENCY", &CONCURRENCY.to_string());
    let commits = Commits::watch(&case.pods.group, &case.topic).await;
    let mut steady = case.joined().await;
    let (mut pods, mut leaving): (Vec<Worker>, Vec<Worker>) = (Vec::new(), Vec::new());
    let (began, mut kills, mut turns) = (Instant::now(), 0, 0);
    let mut clock = tokio::time::interval(Duration::from_millis(500));
    while began.elapsed() < STORM {
        clock.tick().await;
        turns += 1;
        feed(&mut case, 20, r#","sleep_ms":5"#).await;
        pods.push(case.start());
        if pods.len() > 2 {
            let mut oldest = pods.remove(0);
            if turns % 5 == 0 {
                case.kill(&mut oldest);
                kills += 1;
            } else {
                oldest.terminate();
                leaving.push(oldest);
            }
        }
        leaving.retain_mut(|pod| pod.ended().is_none());
    }
    for mut pod in pods.drain(..) {
        case.kill(&mut pod);
        kills += 1;
    }
    case.holds().await;
    assert!(case.doubled() <= kills * CONCURRENCY, "{} doubled by {kills} kills", case.doubled());
    assert_eq!(commits.rewound().await, Vec::<String>::new());
    assert!(steady.ended().is_none(), "{}", steady.output());
    println!("{turns} turns, {kills} kills, {} events, {} doubled", case.sent(), case.doubled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_18_a_partition_that_comes_back_ignores_what_it_settled_before() {
    let mut case = Case::new(2)
        .await
        .with("WORKER__CONCURRENCY", "2")
        .with("KAFKA__PROPERTIES__MAX_POLL_INTERVAL_MS", "6000")
        .with("DEDUPE__LEASE", "2s");
    // Longer than a rebalance waits: they run on while their partitions go and come back.
    case.send(events("slow", 0..2, 2, r#","sleep_ms":12000"#)).await;
    let mut owner = case.joined().await;
    until("a slow event to run", PATIENCE, async || {
        let attempts = case.pods.attempts().all().len();
        if attempts > 0 { Ok(()) } else { Err(attempts) }
    })
    .await;
    case.send(events("event", 2..60, 20, "")).await;
    let mut guest = case.joined().await;
    guest.terminate();
    guest.wait(PATIENCE).await;
    case.holds().await;
    assert_eq!(case.doubled(), 0);
    let assigned = owner.output().matches(": assigned ").count();
    assert!(assigned > 2, "a partition went and came back: {assigned} assignments");
    assert!(owner.ended().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_a_pod_told_to_end_under_load_finishes_and_commits_what_runs() {
    let mut case =
        Case::new(2).await.calm().with("WORKER__CONCURRENCY", "8").with("WORKER__DRAIN_TIMEOUT", "30s");
    case.send(events("event", 0..400, 50, r#","sleep_ms":50"#)).await;
    let mut first = case.joined().await;
    until("work", PATIENCE, async || {
        let effects = case.pods.effects().all().len();
        if effects > 40 { Ok(()) } else { Err(effects) }
    })
    .await;
    first.terminate();
    assert_eq!(first.wait(Duration::from_secs(40)).await.code(), Some(0), "{}", first.output());
    let committed = committed(&case.pods.group, &case.topic).await;
    let committed: i64 = committed.values().map(|(offset, _)| offset).sum();
    assert!(committed > 0 && case.pods.effects().all().len() < 400, "it ended under load");
    assert_eq!(case.pods.attempts().all().len(), case.pods.effects().all().len(), "what began has finished");
    let _next = case.start();
    case.holds().await;
    assert_eq!((case.doubled(), case.pods.attempts().all().len()), (0, 400));
}
