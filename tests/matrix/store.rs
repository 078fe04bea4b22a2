//! What becomes of events while something is wrong with Redis, or with the way there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::rig::{PATIENCE, Rig, STALL, passes};
use crate::support::disk::SmallDisk;
use crate::support::kafka::{Record, committed};
use crate::support::proxy::Proxy;
use crate::support::redis::RedisServer;
use crate::support::wait::until;

/// What a worker cannot begin without.
pub(super) const DOWN: &str = "the dedupe store cannot be used";

/// A Redis of its own, which appends to a file, and a topic whose pods use it.
pub(super) async fn with_redis(partitions: i32) -> (RedisServer, Rig) {
    let redis = RedisServer::start(true).await;
    let rig = Rig::new(partitions).await.with("REDIS__URL", &redis.url()).with("WORKER__CONCURRENCY", "8");
    (redis, rig)
}

/// The same at the other end of a wire.
async fn over_a_wire(partitions: i32) -> (RedisServer, Proxy, Rig) {
    let (redis, rig) = with_redis(partitions).await;
    let proxy = Proxy::start(redis.port()).await;
    let rig = rig.with("REDIS__URL", &format!("redis://{}/", proxy.address()));
    (redis, proxy, rig)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_33_a_killed_store_that_kept_its_file_costs_nothing() {
    let (mut redis, mut rig) = with_redis(2).await;
    rig.load(1500, 20).await;
    let pod = rig.start();
    for _ in 0..3 {
        rig.more_effects(100, PATIENCE).await;
        redis.kill();
        rig.answers("/readyz", 503, DOWN).await;
        redis.start_again().await;
    }
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_34_a_killed_store_that_comes_back_empty_doubles_nothing_and_is_noticed() {
    let (mut redis, mut rig) = with_redis(2).await;
    rig.load(1500, 20).await;
    let mut pod = rig.start();
    for _ in 0..3 {
        rig.more_effects(100, PATIENCE).await;
        redis.kill();
        redis.start_again_empty().await;
    }
    pod.says("another process answers than before", PATIENCE).await;
    rig.settles_once().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_35_a_store_that_is_emptied_under_load_doubles_nothing() {
    for layout in ["keys", "compact"] {
        let (redis, rig) = with_redis(2).await;
        let mut rig = rig.with("DEDUPE__LAYOUT", layout);
        rig.load(1500, 15).await;
        let pod = rig.start();
        for _ in 0..10 {
            rig.more_effects(60, STALL).await;
            redis.flush().await;
        }
        rig.settles_once().await;
        drop(pod);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_36_a_store_and_a_worker_lost_together_double_only_what_was_not_committed() {
    let (mut redis, mut rig) = with_redis(2).await;
    rig.load(1500, 20).await;
    let mut pod = rig.start();
    rig.more_effects(300, PATIENCE).await;
    pod.kill_9();
    redis.kill();
    let before: BTreeSet<String> = rig.pods.effects().counts().into_keys().collect();
    let committed = committed(&rig.pods.group, &rig.topic).await;
    redis.start_again_empty().await;
    let pod = rig.start();
    let counts = rig.settles().await;
    for (id, count) in counts.iter().filter(|(_, count)| **count != 1) {
        let n: i64 = id.trim_start_matches("event-").parse().unwrap();
        let is_committed = committed[&i32::try_from(n % 2).unwrap()].0 > n / 2;
        assert!(*count == 2 && before.contains(id) && !is_committed, "{id}: {count} times");
    }
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_40_41_replies_that_are_lost_double_nothing() {
    let (_redis, proxy, mut rig) = over_a_wire(2).await;
    rig.load(1500, 20).await;
    let pod = rig.start();
    rig.more_effects(50, PATIENCE).await;
    for bytes in [0, 1, 40, 400, 4_000, 0] {
        // What was asked is done, and the connection ends before or within the answer.
        proxy.cut_replies_after(Some(bytes));
        passes(Duration::from_secs(2)).await;
        proxy.cut_replies_after(None);
        rig.load(200, 20).await;
        rig.more_effects(50, STALL).await;
    }
    for _ in 0..3 {
        proxy.lose_replies(true);
        passes(Duration::from_secs(2)).await;
        proxy.lose_replies(false);
        proxy.cut_open_connections();
        rig.load(200, 20).await;
        rig.more_effects(50, STALL).await;
    }
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_42_work_goes_on_five_seconds_after_its_connections_fell_silent() {
    let (_redis, proxy, mut rig) = over_a_wire(2).await;
    rig.load(1000, 20).await;
    let pod = rig.start();
    for _ in 0..3 {
        rig.more_effects(50, PATIENCE).await;
        proxy.stall_open_connections();
        let stalled = Instant::now();
        // Those whose claims were there may still take effect.
        rig.more_effects(50, STALL).await;
        // A busy machine is given some more.
        assert!(stalled.elapsed() < Duration::from_secs(5 + 4), "{:?}", stalled.elapsed());
    }
    rig.settles_once().await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_42_claims_outlive_a_silent_connection_although_somebody_waits_for_them() {
    let (redis, proxy, mut rig) = over_a_wire(2).await;
    // The other pod reaches Redis by itself.
    let direct = rig.pods.clone().with("REDIS__URL", &redis.url());
    let mut pods = [rig.start(), direct.start(crate::TEST_WORKER)];
    for pod in &mut pods {
        pod.says(": assigned ", PATIENCE).await;
    }
    // Each event comes twice, and the second waits for the first.
    rig.send(4, |_| r#","sleep_ms":9000"#.to_owned()).await;
    let again = |n: usize| {
        let value = format!(r#"{{"id":"event-{n}","sleep_ms":9000}}"#);
        Record::new(format!("again-{n}"), value).to(i32::try_from(n + 1).unwrap() % 2)
    };
    rig.topic.produce_all((0..4).map(again)).await;
    until("the handlers", PATIENCE, async || match rig.pods.attempts().all().len() {
        attempts if attempts >= 4 => Ok(()),
        attempts => Err(attempts),
    })
    .await;
    passes(Duration::from_millis(1500)).await;
    proxy.stall_open_connections();
    rig.pods.commit(&rig.topic, 8, PATIENCE).await;
    let counts = rig.pods.effects().counts();
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    let attempts = rig.pods.attempts().counts();
    assert!(attempts.values().all(|count| *count == 1), "a lease ran out under a live handler: {attempts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_43_a_store_without_memory_pauses_the_work_until_it_has_some() {
    let (redis, mut rig) = with_redis(2).await;
    // Some go on for longer than leases, and are renewed and completed all the same.
    rig.send(4, |_| r#","sleep_ms":12000"#.to_owned()).await;
    rig.load(1000, 20).await;
    let pod = rig.start();
    rig.more_effects(50, PATIENCE).await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    rig.answers("/readyz", 503, "OOM").await;
    rig.keeps_answering("/readyz", 503, Duration::from_secs(12)).await;
    rig.answers("/livez", 200, "").await;
    let attempts = rig.pods.attempts().all().len();
    passes(Duration::from_secs(2)).await;
    assert_eq!(rig.pods.attempts().all().len(), attempts, "a handler began without a claim");
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_43_a_worker_that_is_to_fail_without_its_store_fails_without_its_memory() {
    let (redis, rig) = with_redis(1).await;
    let mut rig = rig.with("DEDUPE__ON_UNAVAILABLE", "fail");
    rig.load(1, 0).await;
    let mut pod = rig.start();
    rig.settles_once().await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory", "1"]).await;
    rig.load(1, 0).await;
    assert_eq!(pod.wait(STALL).await.code(), Some(1), "{}", pod.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_44_a_store_that_begins_to_evict_is_an_alarm() {
    let (redis, mut rig) = with_redis(1).await;
    rig.load(10, 0).await;
    let mut pod = rig.start();
    rig.settles_once().await;
    redis.command::<()>(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    pod.says("the dedupe store is not what it was", PATIENCE).await;
    pod.says("allkeys-lru", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_57_a_store_whose_disk_is_full_pauses_the_work_until_there_is_room() {
    let disk = SmallDisk::of(64);
    let folder = tempfile::tempdir_in(disk.path()).unwrap();
    let redis = RedisServer::start_with(folder, true, &[], &[]).await;
    let mut rig = Rig::new(2).await.with("REDIS__URL", &redis.url()).with("WORKER__CONCURRENCY", "8");
    rig.load(1200, 20).await;
    let pod = rig.start();
    rig.more_effects(100, PATIENCE).await;
    disk.fill();
    rig.answers("/readyz", 503, DOWN).await;
    rig.keeps_answering("/readyz", 503, Duration::from_secs(10)).await;
    disk.make_room();
    rig.settles_once().await;
    rig.answers("/readyz", 200, "ok").await;
    drop(pod);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_58_a_worker_without_threads_and_descriptors_neither_locks_nor_loses() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let (_redis, proxy, mut rig) = over_a_wire(2).await;
    rig.pods = rig.pods.variable("TOKIO_WORKER_THREADS", "1");
    // The one thread is kept busy for longer than a lease.
    rig.send(2, |_| r#","block_ms":7000"#.to_owned()).await;
    rig.load(600, 20).await;
    let pod = rig.start();
    rig.more_effects(20, PATIENCE).await;
    let pid = Pid::from_raw(i32::try_from(pod.pid()).unwrap());
    let limit = |most: u64| {
        let limit = Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) };
        prlimit(pid, Resource::Nofile, limit).expect("a limit");
    };
    // No connection that is lost now can be made anew.
    limit(3);
    proxy.cut_open_connections();
    passes(Duration::from_secs(5)).await;
    limit(1024);
    rig.settles_once().await;
    rig.answers("/livez", 200, "").await;
    drop(pod);
}
