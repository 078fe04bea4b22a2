//! Events that are claimed in one batch and end with it: what may happen to one of them, or to all, in between.

use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, FaultKind, Inspected, KnownState,
    OwnerFactory, Release, Released, Renewal, Renewed, Run, StoreKey,
};
use redis::AsyncCommands;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::{HOUR, PATIENCE, SOON, claim, completion, fails};

const EVENTS: usize = 10;

/// Claims of events of one partition, each of its own owner.
fn requests(names: &str, lease: Duration) -> Vec<ClaimRequest> {
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
    (0..EVENTS).map(request).collect()
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
async fn what_a_server_has_lost_of_a_batch_is_recorded_event_by_event() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let mut raw = server.raw().await;
    for lost in ["all", "the last"] {
        let batch = requests(lost, HOUR);
        let claims = store.claim(&batch).await.unwrap();
        let mut wanted = vec![Completed::Lost; EVENTS];
        if lost == "all" {
            redis::cmd("FLUSHALL").exec_async(&mut raw).await.unwrap();
        } else {
            // A replica that has become the primary may not have heard of what came last.
            let _: () = raw.del(batch[EVENTS - 1].key.name()).await.unwrap();
            wanted[..EVENTS - 1].fill(Completed::Recorded);
        }
        assert_eq!(store.complete(&ends(&batch, &claims)).await, Ok(wanted));
        all_are_done(&server, &batch).await;
    }
}

#[tokio::test]
async fn a_batch_does_not_end_as_a_whole_after_its_lease() {
    let server = Server::start(&[]).await;
    let (ours, theirs) = (together(&server), together(&server));
    let batch = requests("k", Duration::from_millis(300));
    let claims = ours.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let taken = &others(&batch)[3];
    let mut meanwhile = Vec::new();
    let grant = loop {
        match claim(&theirs, taken).await.unwrap() {
            Claim::Busy { left } => tokio::time::sleep(left).await,
            Claim::TakenOver(grant) => break grant,
            other => meanwhile.push(other),
        }
        assert_eq!(meanwhile, []);
    };
    let mut wanted = vec![Completed::Recorded; EVENTS];
    wanted[3] = Completed::Stolen;
    assert_eq!(ours.complete(&ends).await, Ok(wanted));
    let second = Completion { retention: HOUR * 2, ..completion(taken, grant.token, End::Done) };
    assert_eq!(theirs.complete(&[second]).await, Ok(vec![Completed::AlreadyFinished]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_late_end_of_a_batch_that_nobody_has_taken_is_recorded() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", Duration::from_millis(20));
    let claims = store.claim(&batch).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let before = sets(&server).await;
    assert_eq!(store.complete(&ends(&batch, &claims)).await, Ok(vec![Completed::Recorded; EVENTS]));
    assert_eq!(sets(&server).await - before, EVENTS as u64, "somebody may take them over at any moment");
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn the_events_of_a_worker_that_has_died_are_taken_over_one_by_one() {
    let server = Server::start(&[]).await;
    let batch = requests("k", Duration::from_millis(100));
    let dead = together(&server);
    let first = dead.claim(&batch).await.unwrap();
    let late = ends(&batch, &first);
    let (store, mine) = (together(&server), others(&batch));
    tokio::time::sleep(Duration::from_millis(150)).await;
    let claims = store.claim(&mine[..EVENTS - 2]).await.unwrap();
    assert!(claims.iter().all(|claim| matches!(claim, Claim::TakenOver(_))), "{claims:?}");
    // It was only slow.
    let mut wanted = vec![Completed::Stolen; EVENTS];
    wanted[EVENTS - 2..].fill(Completed::Recorded);
    assert_eq!(dead.complete(&late).await, Ok(wanted));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn whoever_asks_for_one_of_them_meanwhile_is_told_to_wait() {
    let server = Server::start(&[]).await;
    let (ours, theirs) = (together(&server), store(&server));
    let batch = requests("k", HOUR);
    let claims = ours.claim(&batch).await.unwrap();
    let asked = theirs.claim(&others(&batch)[..3]).await.unwrap();
    assert!(asked.iter().all(|claim| matches!(claim, Claim::Busy { left } if *left <= HOUR)), "{asked:?}");
    // The same delivery asks again: nobody had heard the answer.
    assert_eq!(ours.claim(&batch[4..6]).await.unwrap(), claims[4..6]);
    assert_eq!(ours.complete(&ends(&batch, &claims)).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_batch_of_which_one_was_renewed_ends_event_by_event() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let claims = store.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let renewal = Renewal {
        held: ends[0].held.clone(),
        lease: HOUR,
        retention: HOUR * 2,
        attempts: 1,
        first_failure_ms: None,
        run: Run::InCrowd,
        fingerprint: None,
    };
    assert_eq!(store.renew(&[renewal]).await, Ok(vec![Renewed::Kept]));
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn one_of_them_may_be_given_back() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let claims = store.claim(&batch).await.unwrap();
    let ends = ends(&batch, &claims);
    let release = Release {
        held: ends[1].held.clone(),
        delay: Duration::ZERO,
        retention: HOUR * 2,
        attempts: 0,
        first_failure_ms: None,
        in_doubt: false,
    };
    assert_eq!(store.release(&[release]).await, Ok(vec![Released::Released]));
    let rest: Vec<Completion> = ends.iter().filter(|end| end.held != ends[1].held).cloned().collect();
    assert_eq!(store.complete(&rest).await, Ok(vec![Completed::Recorded; EVENTS - 1]));
    let again = &others(&batch)[1];
    let Claim::Won(grant) = claim(&store, again).await.unwrap() else { panic!("it was given back") };
    let end = Completion { retention: HOUR * 2, ..completion(again, grant.token, End::Done) };
    assert_eq!(store.complete(&[end]).await, Ok(vec![Completed::Recorded]));
    all_are_done(&server, &batch).await;
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
async fn nothing_is_left_of_a_batch_whose_events_have_records_of_their_own() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let ends = ends(&batch, &store.claim(&batch).await.unwrap());
    let size = async || -> usize { redis::cmd("DBSIZE").query_async(&mut server.raw().await).await.unwrap() };
    assert_eq!(size().await, EVENTS + 1);
    for some in ends.chunks(3) {
        assert_eq!(store.complete(some).await, Ok(vec![Completed::Recorded; some.len()]));
    }
    assert_eq!(size().await, EVENTS);
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_lost_answer_to_the_end_of_a_batch_does_no_harm() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), SOON).unwrap();
    let store = store.always_together(None);
    let batch = requests("k", HOUR);
    let ends = ends(&batch, &store.claim(&batch).await.unwrap());
    proxy.lose_replies(true);
    fails(store.complete(&ends).await, FaultKind::Unavailable, "in time");
    proxy.lose_replies(false);
    proxy.cut_open_connections();
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn a_lost_answer_to_the_claims_of_a_batch_does_no_harm() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), SOON).unwrap();
    let store = store.always_together(None);
    let batch = requests("k", HOUR);
    // There is a connection before.
    store.claim(&requests("before", HOUR)).await.unwrap();
    proxy.lose_replies(true);
    fails(store.claim(&batch).await, FaultKind::Unavailable, "in time");
    proxy.lose_replies(false);
    proxy.cut_open_connections();
    let ends = ends(&batch, &store.claim(&batch).await.unwrap());
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &batch).await;
}

#[tokio::test]
async fn two_batches_of_one_number_do_not_end_each_other() {
    let server = Server::start(&[]).await;
    let number = Some(1_234_567_890_123_456);
    let (one, other) = (store(&server).always_together(number), store(&server).always_together(number));
    let (first, second) = (requests("first", HOUR), requests("second", HOUR));
    let first_ends = ends(&first, &one.claim(&first).await.unwrap());
    let second_ends = ends(&second, &other.claim(&second).await.unwrap());
    assert_eq!(one.complete(&first_ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    let asked = one.claim(&others(&second)).await.unwrap();
    assert!(asked.iter().all(|claim| matches!(claim, Claim::Busy { .. })), "{asked:?}");
    assert_eq!(other.complete(&second_ends).await, Ok(vec![Completed::Recorded; EVENTS]));
    all_are_done(&server, &first).await;
    all_are_done(&server, &second).await;
}

#[tokio::test]
async fn an_event_whose_batch_is_gone_is_nobodys_to_judge() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", HOUR);
    let ends = ends(&batch, &store.claim(&batch).await.unwrap());
    store.complete(&ends).await.unwrap();
    let mut raw = server.raw().await;
    let names: Vec<String> = raw.keys("oncewise:batch:*").await.unwrap();
    let _: () = raw.del(&names).await.unwrap();
    assert_eq!(store.claim(&others(&batch)).await, Ok(vec![Claim::Foreign; EVENTS]));
}
