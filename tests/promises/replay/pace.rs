//! A rate is there to spare somebody: whatever comes in between, no more begin in a second.

use std::time::{Duration, Instant};

use super::{PATIENCE, Past};
use crate::support::{redis::RedisServer, wait::until};

/// So many seconds nothing can be claimed.
const OUTAGE: Duration = Duration::from_secs(8);
/// So many begin in a second, at most.
const RATE: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_there_is_nothing_to_make_up_for() {
    let redis = RedisServer::start(true).await;
    let past = Past::of(1).await.on_redis(&redis).with("WORKER__MAX_IN_FLIGHT", "200");
    past.events(400).await;
    let (from, to) = (past.at(0), past.at(400));
    let mut replay =
        past.start("replay", &["--from", &from, "--to", &to, "--rate", &RATE.to_string(), "--yes", "--json"]);
    let effects = || past.pods.effects().all().len();
    until("some effects", PATIENCE, async || if effects() >= 10 { Ok(()) } else { Err(effects()) }).await;
    redis.freeze();
    tokio::time::sleep(OUTAGE).await;
    let before = effects();
    let back = Instant::now();
    redis.thaw();
    let after = until("it to go on", PATIENCE, async || match effects() - before {
        after if after >= 3 * RATE => Ok(after),
        after => Err(after),
    })
    .await;
    let took = back.elapsed();
    let allowed = RATE * (took.as_secs() as usize + 2);
    assert!(after <= allowed, "{after} effects in {took:?} at {RATE} a second");
    replay.kill_9();
}
