//! Events that are claimed in one batch and end with it: what may happen to one of them, or to all, in between.

mod lost;
mod others;

use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, Held, Inspected, KnownState, OwnerFactory,
    Release, StoreKey,
};
use redis::AsyncCommands;

use crate::server::Server;
use crate::{HOUR, PATIENCE, completion};

const EVENTS: usize = 10;

/// Claims of events of one partition, each of its own owner.
fn requests(names: &str, lease: Duration) -> Vec<ClaimRequest> {
    many(EVENTS, names, lease)
}

fn many(events: usize, names: &str, lease: Duration) -> Vec<ClaimRequest> {
    let owners = OwnerFactory::new().partition(1, "topic", 0);
    let request = |number: usize| ClaimRequest {
        key: StoreKey::new("oncewise", "group", "handler", format!("{names} {number}")),
        owner: owners.delivery(number as i64),
        lease,
        retention: HOUR * 2,
        max_deliveries: 3,
        fingerprint: None,
        hop: 0,
    };
    (0..events).map(request).collect()
}

/// The same events, as somebody else meets them.
fn others(requests: &[ClaimRequest]) -> Vec<ClaimRequest> {
    let owners = OwnerFactory::new().partition(1, "topic", 0);
    let other = |(number, request): (usize, &ClaimRequest)| ClaimRequest {
        owner: owners.delivery(number as i64),
        ..request.clone()
    };
    requests.iter().enumerate().map(other).collect()
}

fn ends(requests: &[ClaimRequest], claims: &[Claim]) -> Vec<Completion> {
    let end = |(request, claim): (&ClaimRequest, &Claim)| match claim {
        Claim::Won(grant) => {
            Completion { retention: HOUR * 2, ..completion(request, grant.token, End::Done) }
        }
        other => panic!("expected Won, got {other:?}"),
    };
    requests.iter().zip(claims).map(end).collect()
}

/// Gives back what nobody has begun.
fn unused(held: Held, retention: Duration) -> Release {
    Release { held, delay: Duration::ZERO, retention, attempts: 0, first_failure_ms: None, in_doubt: false }
}

fn store(server: &Server) -> RedisStore {
    RedisStore::connect(&server.url(), PATIENCE).unwrap()
}

fn together(server: &Server) -> RedisStore {
    store(server).always_together(None)
}

/// How often the server has been told to set a key.
async fn sets(server: &Server) -> u64 {
    let stats: String =
        redis::cmd("INFO").arg("commandstats").query_async(&mut server.raw().await).await.unwrap();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_set:calls=")).unwrap_or("0,");
    calls.split(',').next().unwrap().parse().unwrap()
}

/// Everybody agrees that all of these have taken effect.
async fn all_are_done(server: &Server, requests: &[ClaimRequest]) {
    for store in [store(server), together(server)] {
        let keys: Vec<StoreKey> = requests.iter().map(|request| request.key.clone()).collect();
        for known in store.inspect(&keys).await.unwrap() {
            let Inspected::Known(known) = known else { panic!("{known:?}") };
            assert_eq!((known.state, known.attempts), (KnownState::Ended(End::Done), Some(1)));
            assert!(known.remembered.unwrap() > HOUR * 2 - Duration::from_secs(60), "{:?}", known.remembered);
        }
        let claims = store.claim(&others(requests)).await.unwrap();
        assert_eq!(claims, vec![Claim::Done; requests.len()]);
    }
}

#[tokio::test]
async fn a_batch_ends_with_one_write() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let claims = store.claim(&batch).await.unwrap();
    let before = sets(&server).await;
    let ends = ends(&batch, &claims);
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    assert_eq!(sets(&server).await - before, 1);
    // Nobody has heard the answer, and asks again.
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn events_are_claimed_together_once_batches_have_ended_as_a_whole() {
    let server = Server::start(&[]).await;
    let store = store(&server);
    let mut writes = Vec::new();
    for number in 0..8 {
        let batch = requests(&number.to_string(), HOUR);
        let claims = store.claim(&batch).await.unwrap();
        let before = sets(&server).await;
        let ends = ends(&batch, &claims);
        match number {
            // One handler waits, and tells of its end alone.
            6 => {
                store.complete(&ends[1..]).await.unwrap();
                store.complete(&ends[..1]).await.unwrap();
            }
            _ => drop(store.complete(&ends).await.unwrap()),
        }
        writes.push((sets(&server).await - before) as usize);
        all_are_done(&server, &batch).await;
    }
    assert_eq!(writes, [EVENTS, EVENTS, EVENTS, EVENTS, 1, 1, EVENTS, EVENTS]);
}

#[tokio::test]
async fn duplicates_keep_a_batch_and_its_events_remembered() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", Duration::from_secs(1));
    store.complete(&ends(&batch, &store.claim(&batch).await.unwrap())).await.unwrap();
    let longer = |request: ClaimRequest| ClaimRequest { retention: HOUR * 9, ..request };
    let duplicates: Vec<ClaimRequest> = others(&batch).into_iter().map(longer).collect();
    assert_eq!(store.claim(&duplicates).await, Ok(vec![Claim::Done; EVENTS]));
    let mut raw = server.raw().await;
    let [name] = &raw.keys::<_, Vec<String>>("oncewise:batch:*").await.unwrap()[..] else {
        panic!("one batch")
    };
    let of_batch: u64 = raw.pttl(name).await.unwrap();
    for request in &batch {
        let of_event: u64 = raw.pttl(request.key.name()).await.unwrap();
        assert!(of_event > 8 * 3_600_000 && of_event < of_batch, "{of_event} {of_batch}");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_batch_in_which_nothing_stands() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    store.complete(&ends(&batch, &store.claim(&batch).await.unwrap())).await.unwrap();
    for _ in 0..3 {
        assert_eq!(store.claim(&others(&batch)).await, Ok(vec![Claim::Done; EVENTS]));
    }
    let size: usize = redis::cmd("DBSIZE").query_async(&mut server.raw().await).await.unwrap();
    assert_eq!(size, EVENTS + 1);
}
