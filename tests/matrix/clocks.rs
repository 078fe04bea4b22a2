//! Clocks that are set: that of Redis, and that of a worker.

use std::time::Duration;

use super::{
    rig::{PATIENCE, Rig, STALL, passes},
    store::with_redis,
};
use crate::support::{clock::Clock, kafka::Record, redis::RedisServer, wait::until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_47_a_store_whose_clock_is_set_doubles_and_loses_nothing() {
    let clock = Clock::new();
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    let redis = RedisServer::start_with(tempfile::tempdir().unwrap(), false, &[], &environment).await;
    let mut rig = Rig::new(2).await.with("REDIS__URL", &redis.url()).with("WORKER__CONCURRENCY", "8");
    // Both are at work whenever the clock is set.
    let mut pods = [rig.start(), rig.start_another()];
    for pod in &mut pods {
        pod.says(": assigned ", PATIENCE).await;
    }
    // Each of these comes twice, so that somebody waits for it.
    rig.send(4, |_| r#","sleep_ms":8000"#.to_owned()).await;
    let again = |n: usize| {
        let value = format!(r#"{{"id":"event-{n}","sleep_ms":8000}}"#);
        Record::new(format!("again-{n}"), value).to(i32::try_from(n + 1).unwrap() % 2)
    };
    rig.topic.produce_all((0..4).map(again)).await;
    rig.load(3_000, 15).await;
    for seconds in [3_600, 0, -3_600, 0] {
        rig.more_effects(400, STALL).await;
        clock.set(seconds);
    }
    let counts = until("all events to take effect", 2 * PATIENCE, async || {
        let counts = rig.pods.effects().counts();
        if counts.len() == rig.sent { Ok(counts) } else { Err(counts.len()) }
    })
    .await;
    rig.pods.commit(&rig.topic, i64::try_from(rig.sent + 4).unwrap(), PATIENCE).await;
    // A lease that is over by a clock that was set may be taken over once.
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    println!("doubled: {doubled:?}");
    let waited_for = |id: &str| ["event-0", "event-1", "event-2", "event-3"].contains(&id);
    assert!(doubled.iter().all(|(id, count)| **count == 2 && waited_for(id)), "{doubled:?}");
    for pod in &mut pods {
        pod.says("the clock of Redis was set", PATIENCE).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_48_a_worker_whose_clock_is_set_goes_on_as_if_nothing_had_happened() {
    let clock = Clock::new();
    let (_redis, mut rig) = with_redis(2).await;
    for (name, value) in clock.environment() {
        rig.pods = rig.pods.variable(&name, &value);
    }
    let mut rig = rig.with("RETRY__MAX_ATTEMPTS", "20").with("RETRY__BUDGET", "10m");
    // Retried before, while and after the clock is set: neither time nor attempts are used up by that.
    rig.send(20, |_| r#","fail":8,"retry_after_ms":1000"#.to_owned()).await;
    let pod = rig.start();
    for seconds in [3_600, -3_600, 86_400] {
        rig.load(100, 20).await;
        rig.more_effects(50, STALL).await;
        clock.set(seconds);
        passes(Duration::from_secs(1)).await;
        rig.answers("/livez", 200, "").await;
    }
    rig.settles_once().await;
    drop(pod);
}
