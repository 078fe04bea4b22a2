//! A rate is there to spare somebody: whatever comes in between, no more begin in a second.

use std::time::Duration;

use super::{PATIENCE, Past};
use crate::support::{redis::RedisServer, wait::until};

/// So many seconds nothing can be claimed.
const OUTAGE: Duration = Duration::from_secs(8);
/// So long it is watched afterwards.
const AFTER: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_there_is_nothing_to_make_up_for() {
    let redis = RedisServer::start(true).await;
    let past = Past::of(1).await.on_redis(&redis).with("WORKER__MAX_IN_FLIGHT", "200");
    past.events(400).await;
    let (from, to) = (past.at(0), past.at(400));
    let mut replay = past.start("replay", &["--from", &from, "--to", &to, "--rate", "20", "--yes", "--json"]);
    let effects = || past.pods.effects().all().len();
    until("some effects", PATIENCE, async || if effects() >= 10 { Ok(()) } else { Err(effects()) }).await;
    redis.freeze();
    tokio::time::sleep(OUTAGE).await;
    let before = effects();
    redis.thaw();
    until("it to go on", PATIENCE, async || if effects() > before { Ok(()) } else { Err(()) }).await;
    tokio::time::sleep(AFTER).await;
    let after = effects() - before;
    assert!((20..=100).contains(&after), "{after} effects in {AFTER:?} at 20 a second");
    replay.kill_9();
}
