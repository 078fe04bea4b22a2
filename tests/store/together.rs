//! Events that are claimed in one batch and end with it: what may happen to one of them, or to all, in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, FaultKind, Inspected, KnownState,
    OwnerFactory, Release, Released, Renewal, Renewed, Run, StoreKey,
};
use redis::AsyncCommands;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::{HOUR, PATIENCE, SOON, claim, completion, fails};

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

#[tokio::test]
async fn claims_of_a_batch_are_all_made_or_none() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let stop = CancellationToken::new();
    // Memory that is short and is not, from one moment to the next.
    let flipping = tokio::spawn({
        let (stop, mut raw) = (stop.clone(), server.raw().await);
        async move {
            for limit in ["1", "0"].into_iter().cycle() {
                redis::cmd("CONFIG").arg(&["SET", "maxmemory", limit]).exec_async(&mut raw).await.unwrap();
                if limit == "0" && stop.is_cancelled() {
                    return;
                }
            }
        }
    });
    let (mut claims, mut refused) = (Vec::new(), 0);
    for number in 0..30 {
        let batch = many(500, &number.to_string(), HOUR);
        loop {
            match store.claim(&batch).await {
                Ok(answers) => break claims.extend(answers),
                Err(_) => refused += 1,
            }
        }
    }
    stop.cancel();
    flipping.await.unwrap();
    assert!(refused > 0, "memory was never short");
    assert!(claims.iter().all(|claim| matches!(claim, Claim::Won(_))), "{claims:?}");
}

#[tokio::test]
async fn ends_that_a_failover_has_lost_leave_their_claims_to_be_taken_over() {
    let server = Server::start(&[]).await;
    let store = together(&server);
    let batch = requests("k", Duration::from_millis(1_500));
    let ends = ends(&batch, &store.claim(&batch).await.unwrap());
    let mut raw = server.raw().await;
    let mut claimed: Vec<Vec<u8>> = Vec::new();
    for request in &batch {
        claimed.push(raw.get(request.key.name()).await.unwrap());
    }
    assert_eq!(store.complete(&ends[1..]).await, Ok(vec![Completed::Recorded; EVENTS - 1]));
    // The replica that takes over has the claims, and does not have these ends.
    for (request, value) in batch.iter().zip(claimed) {
        let _: () = raw.pset_ex(request.key.name(), value, 7_200_000).await.unwrap();
    }
    assert_eq!(store.complete(&ends[..1]).await, Ok(vec![Completed::Recorded]));
    let heir = others(&batch);
    for request in &heir[1..] {
        loop {
            match claim(&store, request).await.unwrap() {
                Claim::Busy { left } => tokio::time::sleep(left).await,
                answer => break assert!(matches!(answer, Claim::TakenOver(_)), "{answer:?}"),
            }
        }
    }
    assert_eq!(claim(&store, &heir[0]).await, Ok(Claim::Done));
}

#[tokio::test]
async fn of_two_that_have_finished_one_event_the_second_is_told_even_in_a_batch() {
    for heir_is_first in [true, false] {
        let server = Server::start(&[]).await;
        let (zombie, heir) = (store(&server), together(&server));
        let batch = requests("k", HOUR);
        let Claim::Won(grant) = claim(&zombie, &batch[3]).await.unwrap() else { panic!("it was new") };
        // What it holds gets lost, and another worker begins the same event.
        let _: () = server.raw().await.del(batch[3].key.name()).await.unwrap();
        let again = others(&batch);
        let ends = ends(&again, &heir.claim(&again).await.unwrap());
        let late = Completion { retention: HOUR * 2, ..completion(&batch[3], grant.token, End::Done) };
        let mut wanted = vec![Completed::Recorded; EVENTS];
        if heir_is_first {
            assert_eq!(heir.complete(&ends).await, Ok(wanted));
            assert_eq!(zombie.complete(&[late]).await, Ok(vec![Completed::AlreadyFinished]));
        } else {
            wanted[3] = Completed::AlreadyFinished;
            assert_eq!(zombie.complete(&[late]).await, Ok(vec![Completed::Stolen]));
            assert_eq!(heir.complete(&ends).await, Ok(wanted));
        }
        all_are_done(&server, &batch).await;
    }
}

/// A way to the server that holds the first batch back, tells its sender that the connection is gone, and lets it through
/// when it is told to.
async fn late(server: u16) -> (u16, Arc<Notify>, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (go_on, arrived) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, tells) = (Arc::clone(&go_on), Arc::clone(&arrived));
    tokio::spawn(async move {
        let held = Arc::new(AtomicBool::new(false));
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut up = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (held, told, tells) = (Arc::clone(&held), Arc::clone(&told), Arc::clone(&tells));
            tokio::spawn(async move {
                let (mut said, mut answered) = (vec![0; 1 << 16], vec![0; 1 << 16]);
                loop {
                    tokio::select! {
                        read = client.read(&mut said) => {
                            let Ok(bytes @ 1..) = read else { return };
                            let is_batch = said[..bytes].windows(7).any(|some| some == b":batch:");
                            let is_claim = said[..bytes].windows(4).any(|some| some == b"EXEC");
                            if is_batch && is_claim && !held.swap(true, SeqCst) {
                                drop(client);
                                told.notified().await;
                                up.write_all(&said[..bytes]).await.unwrap();
                                assert!(up.read(&mut answered).await.unwrap() > 0);
                                return tells.notify_one();
                            }
                            up.write_all(&said[..bytes]).await.unwrap();
                        }
                        read = up.read(&mut answered) => match read {
                            Ok(bytes @ 1..) if client.write_all(&answered[..bytes]).await.is_ok() => {}
                            _ => return,
                        }
                    }
                }
            });
        }
    });
    (port, go_on, arrived)
}

#[tokio::test]
async fn what_arrives_late_of_an_attempt_that_was_given_up_ends_with_no_batch() {
    let server = Server::start(&[]).await;
    let (port, go_on, arrived) = late(server.port()).await;
    let ours = RedisStore::connect(&format!("redis://127.0.0.1:{port}"), PATIENCE).unwrap();
    let (ours, theirs) = (ours.always_together(None), store(&server));
    let batch = requests("k", HOUR);
    let taken = &others(&batch)[3];
    let Claim::Won(grant) = claim(&theirs, taken).await.unwrap() else { panic!("it was new") };
    let mut claims = ours.claim(&batch).await.unwrap();
    // Another worker gives the event back that it had, as if it had never asked.
    let release = Release {
        held: completion(taken, grant.token, End::Done).held,
        delay: Duration::ZERO,
        retention: Duration::from_millis(1),
        attempts: 0,
        first_failure_ms: None,
        in_doubt: false,
    };
    assert_eq!(theirs.release(&[release]).await, Ok(vec![Released::Released]));
    let mut raw = server.raw().await;
    while raw.exists(taken.key.name()).await.unwrap() {}
    go_on.notify_one();
    arrived.notified().await;
    let mut rest = batch.clone();
    assert!(matches!(claims.remove(3), Claim::Busy { .. }));
    let nobodys = rest.remove(3);
    assert_eq!(ours.complete(&ends(&rest, &claims)).await, Ok(vec![Completed::Recorded; EVENTS - 1]));
    all_are_done(&server, &rest).await;
    assert!(matches!(claim(&theirs, taken).await, Ok(Claim::Busy { .. })), "nobody has run it");
    assert!(matches!(claim(&ours, &nobodys).await, Ok(Claim::Won(_))), "its own delivery may");
}
