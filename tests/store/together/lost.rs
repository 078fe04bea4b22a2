//! What a server or the way to it loses, delays or refuses of a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{Claim, Completed, DedupeStore, End, FaultKind, Released};
use redis::AsyncCommands;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{EVENTS, all_are_done, ends, many, others, requests, store, together, unused};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::{HOUR, PATIENCE, SOON, claim, completion, fails};

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
    let release = unused(completion(taken, grant.token, End::Done).held, Duration::from_millis(1));
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
