//! Processes that freeze, die and end.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use crate::{
    TEST_WORKER,
    case::{Case, PATIENCE, events, now},
    checker::inputs::Inflicted,
    support::{process::Worker, proxy::Proxy, wait::until},
};

async fn so_many_effects(case: &Case, at_least: usize) {
    until(&format!("{at_least} effects"), PATIENCE, async || {
        let effects = case.pods.effects().all().len();
        if effects >= at_least { Ok(()) } else { Err(effects) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_01_a_dead_idle_pod_is_replaced_within_its_session_and_two_seconds() {
    let mut case = Case::new(2).await;
    case.send(events("before", 0..20, 20, "")).await;
    let mut dying = case.joined().await;
    let _heir = case.joined().await;
    so_many_effects(&case, 20).await;
    case.kill(&mut dying);
    let killed = Instant::now();
    case.send(events("after", 20..60, 20, "")).await;
    so_many_effects(&case, 60).await;
    let pause = killed.elapsed();
    case.holds().await;
    assert_eq!(case.doubled(), 0);
    // The session is 3 s; beyond the 2 s a busy machine is given some more.
    assert!(pause < Duration::from_secs(3 + 2 + 8), "taken over after {pause:?}");
    println!("taken over after {pause:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_06_a_crash_while_revoked_partitions_drain_loses_nothing() {
    let mut case = Case::new(4).await.with("WORKER__CONCURRENCY", "4");
    case.send(events("event", 0..300, 50, r#","sleep_ms":20"#)).await;
    let mut dying = case.start_with("ONCEWISE_CRASH", "in_revoke");
    dying.says(": assigned ", PATIENCE).await;
    let at = now();
    let _heir = case.start();
    assert_eq!(dying.wait(PATIENCE).await.code(), None, "it dies when the heir joins");
    case.inflicted(Inflicted::Crash, at, Some(dying.pid()));
    case.holds().await;
    assert!(case.doubled() <= 4, "{} doubled", case.doubled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_11_a_pod_cut_off_from_the_store_beyond_its_lease_doubles_what_it_has_in_hand_at_most() {
    let mut case = Case::new(2).await;
    let proxy = Proxy::start(redis_port()).await;
    let url = format!("redis://{}/", proxy.address());
    let recipe = case.pods.clone();
    case.pods = recipe.clone().with("REDIS__URL", &url).with("REDIS__RESPONSE_TIMEOUT", "500ms");
    let mut cut = case.joined().await;
    case.send([("slow".into(), "slow".into(), r#","sleep_ms":12000"#.into())]).await;
    until("the slow event to run", PATIENCE, async || match case.pods.attempts().count("slow") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    let at = now();
    proxy.refuse();
    case.pods = recipe;
    // The event comes a second time, on the other partition's owner or in its own: whoever asks has to wait.
    let _other = case.joined().await;
    case.send(events("event", 0..50, 10, "")).await;
    cut.terminate();
    cut.wait(PATIENCE).await;
    case.inflicted(Inflicted::Lease, at, Some(cut.pid()));
    case.holds().await;
    let effects = case.pods.effects().count("slow");
    assert!((1..=2).contains(&effects), "{effects} effects");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_12_a_zombie_doubles_what_it_has_in_hand_at_most_and_moves_no_offset_back() {
    let mut case = Case::new(2).await.with("WORKER__CONCURRENCY", "4");
    case.send(events("event", 0..400, 50, r#","sleep_ms":20"#)).await;
    let zombie = case.joined().await;
    so_many_effects(&case, 40).await;
    let at = now();
    zombie.freeze();
    let _heir = case.joined().await;
    so_many_effects(&case, 396).await;
    zombie.thaw();
    case.inflicted(Inflicted::Lease, at, Some(zombie.pid()));
    case.send(events("later", 400..450, 50, "")).await;
    case.holds().await;
    assert!(case.doubled() <= 4, "{} doubled", case.doubled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_13_a_pod_frozen_for_less_than_its_session_is_not_missed() {
    let mut case = Case::new(2).await.calm();
    // Longer than both take to join, which is a rebalance.
    case.send(events("event", 0..300, 10, r#","sleep_ms":400"#)).await;
    let frozen = case.joined().await;
    let _other = case.joined().await;
    frozen.freeze();
    let effects = case.pods.effects().all().len();
    so_many_effects(&case, effects + 20).await;
    frozen.thaw();
    case.holds().await;
    assert_eq!(case.doubled(), 0);
    assert_eq!(case.pods.attempts().all().len(), 300, "no attempt was made twice");
    assert!(!frozen.output().contains("lost=true"), "its partitions were taken away");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_16_a_pod_killed_while_it_drains_loses_nothing() {
    let mut case = Case::new(2).await.with("WORKER__CONCURRENCY", "4").with("WORKER__DRAIN_TIMEOUT", "60s");
    case.send(events("event", 0..60, 30, r#","sleep_ms":1500"#)).await;
    let mut dying = case.joined().await;
    so_many_effects(&case, 4).await;
    dying.terminate();
    dying.says("draining", PATIENCE).await;
    case.kill(&mut dying);
    let _heir = case.start();
    case.holds().await;
    assert!(case.doubled() <= 4, "{} doubled", case.doubled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_23_a_poll_loop_that_stands_still_costs_its_partitions_and_no_event() {
    let mut case = Case::new(2)
        .await
        .with("KAFKA__PROPERTIES__MAX_POLL_INTERVAL_MS", "4000")
        .with("WORKER__CONCURRENCY", "4");
    case.send(events("event", 0..400, 50, r#","sleep_ms":20"#)).await;
    let stall = tempfile::NamedTempFile::new().unwrap();
    let path = stall.path().to_owned();
    let place = format!("poll={}", path.with_extension("now").display());
    let mut still = case.start_with("ONCEWISE_STALL", &place);
    still.says(": assigned ", PATIENCE).await;
    so_many_effects(&case, 20).await;
    std::fs::write(path.with_extension("now"), "").unwrap();
    let mut heir = case.start();
    heir.says(": assigned ", PATIENCE).await;
    case.send(events("later", 400..500, 50, "")).await;
    until("the heir to have taken over", PATIENCE, async || {
        let effects = case.pods.effects().by(heir.pid());
        if effects > 0 { Ok(()) } else { Err(effects) }
    })
    .await;
    std::fs::remove_file(path.with_extension("now")).unwrap();
    case.holds().await;
    assert_eq!(case.doubled(), 0, "what ran kept its claim");
}

/// What Redis listens at.
fn redis_port() -> u16 {
    let url = crate::support::redis::shared_url();
    url.trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_58_few_descriptors_and_one_thread_hold_nothing_up() {
    let mut case = Case::new(4).await.with("DEDUPE__LEASE", "2s").with("WORKER__CONCURRENCY", "8");
    case.pods = case.pods.clone().variable("TOKIO_WORKER_THREADS", "1");
    case.send(events("quick", 0..300, 50, "")).await;
    case.send(events("blocks", 300..303, 50, r#","block_ms":5000"#)).await;
    // The shell hands its limit on to what it becomes.
    let shell = case.pods.clone().variable("ONCEWISE_TEST_PROGRAM", TEST_WORKER);
    let folder = tempfile::tempdir().unwrap();
    let limited = folder.path().join("limited");
    std::fs::write(&limited, "#!/bin/sh\nulimit -n 128\nexec \"$ONCEWISE_TEST_PROGRAM\" \"$@\"\n").unwrap();
    assert!(Command::new("chmod").arg("+x").arg(&limited).status().unwrap().success());
    let _pod: Worker = shell.start(limited.to_str().unwrap());
    case.holds().await;
    assert_eq!(case.doubled(), 0);
}
