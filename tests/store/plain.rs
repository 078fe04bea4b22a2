//! What can go wrong where claims and completions are plain commands, and functions are asked only behind them.

use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, DedupeStore, End, FaultKind, Inspected, KnownState, Release, Released,
    StoreFault,
};
use redis::AsyncCommands;

use crate::proxy::Proxy;
use crate::server::Server;
use crate::{HOUR, PATIENCE, SOON, claim, completion, fails, is_won, request};

/// What is left of the lease that this claim has.
async fn left(store: &RedisStore, request: &ClaimRequest) -> Duration {
    match &store.inspect(std::slice::from_ref(&request.key)).await.unwrap()[..] {
        [Inspected::Known(known)] => match &known.state {
            KnownState::Claimed { left, owner } if *owner == request.owner => *left,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lease_is_as_long_as_asked_for_when_the_servers_clock_is_set() {
    let server = Server::start(&[]).await;
    let direct = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    for seconds in [3_600, -3_600, 60, -60] {
        let proxy = Proxy::start(server.port()).await;
        let store = RedisStore::connect(&format!("redis://{}", proxy.address()), PATIENCE).unwrap();
        proxy.shift_time(seconds);
        is_won(claim(&store, &request(&format!("{seconds}: before"))).await);
        // From now on the server says what its clock really shows.
        proxy.shift_time(0);
        let (set, after) = (request(&format!("{seconds}: when")), request(&format!("{seconds}: after")));
        for ours in [&set, &after] {
            let token = is_won(claim(&store, ours).await);
            let left = left(&direct, ours).await;
            assert!(left <= HOUR && left > HOUR - Duration::from_secs(10), "{seconds}: {left:?}");
            let others = ClaimRequest { owner: request("").owner, ..ours.clone() };
            assert!(matches!(claim(&direct, &others).await, Ok(Claim::Busy { .. })), "{seconds}");
            assert_eq!(
                direct.complete(&[completion(ours, token, End::Done)]).await,
                Ok(vec![Completed::Recorded])
            );
        }
    }
}

async fn user(server: &Server, right: &str) {
    let mut raw = server.raw().await;
    redis::cmd("ACL").arg("SETUSER").arg("default").arg(right).exec_async(&mut raw).await.unwrap();
}

#[tokio::test]
async fn a_batch_of_which_only_half_was_answered_is_asked_again() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    let (repeated, fresh) = (request("repeated"), request("fresh"));
    let first = is_won(claim(&store, &repeated).await);
    // The fresh one is granted, and then nobody hears of it, for the other is the function's to answer.
    user(&server, "-fcall").await;
    let batch = [fresh.clone(), repeated];
    fails(store.claim(&batch).await, FaultKind::Refused, "allow it by ACL");
    user(&server, "+fcall").await;
    let other = ClaimRequest { owner: request("").owner, ..fresh.clone() };
    assert!(matches!(claim(&store, &other).await, Ok(Claim::Busy { .. })), "it was granted to nobody");
    let answers = store.claim(&batch).await.unwrap();
    let [Claim::Won(of_fresh), Claim::Won(of_repeated)] = answers[..] else { panic!("{answers:?}") };
    assert_eq!(of_repeated.token, first);
    let done = completion(&fresh, of_fresh.token, End::Done);
    assert_eq!(store.complete(&[done]).await, Ok(vec![Completed::Recorded]));
}

#[tokio::test]
async fn an_event_that_two_have_finished_stays_finished_whatever_gets_lost() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), SOON).unwrap();
    for lost in ["nothing", "the reply", "the amendment"] {
        let (ours, theirs) = (request(lost), request(lost));
        let token = is_won(claim(&store, &ours).await);
        let before = completion(&theirs, token + 1, End::Done);
        assert_eq!(store.complete(&[before]).await, Ok(vec![Completed::Stolen]));
        let done = [completion(&ours, token, End::Done)];
        match lost {
            "the reply" => {
                proxy.lose_replies(true);
                fails(store.complete(&done).await, FaultKind::Unavailable, "in time");
                proxy.lose_replies(false);
                proxy.cut_open_connections();
            }
            "the amendment" => {
                user(&server, "-fcall").await;
                fails(store.complete(&done).await, FaultKind::Refused, "allow it by ACL");
                user(&server, "+fcall").await;
            }
            _ => {}
        }
        let again = store.complete(&done).await.unwrap();
        let now: Result<Claim, StoreFault> = claim(&store, &request(lost)).await;
        // Where something got lost nobody knows that there were two.
        let told = if lost == "nothing" { Completed::AlreadyFinished } else { Completed::Recorded };
        assert_eq!((again, now), (vec![told], Ok(Claim::Done)), "{lost}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_put_back_for_good_and_not_replaced_again() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    let mut raw = server.raw().await;
    let ours = request("k");
    let token = is_won(claim(&store, &ours).await);
    let done = [completion(&ours, token, End::Done)];
    let name = ours.key.name();
    let _: () = raw.set(&name, "somebody's notes").await.unwrap();
    let mut sets = 0;
    for time in 0..3 {
        assert_eq!(store.complete(&done).await, Ok(vec![Completed::Foreign]));
        let value: String = raw.get(&name).await.unwrap();
        let expiry: i64 = raw.pttl(&name).await.unwrap();
        assert_eq!((value.as_str(), expiry), ("somebody's notes", -1));
        let stats: String = redis::cmd("INFO").arg("commandstats").query_async(&mut raw).await.unwrap();
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_set:calls=")).unwrap();
        let calls: u64 = calls.split(',').next().unwrap().parse().unwrap();
        assert!(time == 0 || calls == sets, "it was replaced again");
        sets = calls;
    }
    let _: () = raw.del(&name).await.unwrap();
    assert_eq!(store.complete(&done).await, Ok(vec![Completed::Lost]));
    assert_eq!(store.complete(&done).await, Ok(vec![Completed::Recorded]));
}

/// Records, and what looks like records: each with one byte changed, left out or put in.
fn almost_records() -> Vec<Vec<u8>> {
    let records = [
        "1P17:me.1.orders.0.7:9999999999999:2:1:0:-5:T:A:00000000000000ff",
        "1F17::0:0:0:0::W:N:",
        "1795000000000000101:00000000000000ff",
        "1795000000000000001",
        "17001",
        "001",
        "2P17:me.1.orders.0.7:9999999999999:2:1:0:-5:T:A:00000000000000ff:3",
        "2F17::0:0:0:0::W:N::1",
        "2X17:1:5::00000000000000ff",
        "2M17:0:5:-5:",
    ];
    let mut all = Vec::new();
    for record in records.map(str::as_bytes) {
        all.push(record.to_vec());
        for at in 0..record.len() {
            let (before, after) = record.split_at(at);
            all.push([before, &after[1..]].concat());
            for byte in b"0:gP-._\xff\n" {
                all.push([before, &[*byte], &after[1..]].concat());
                all.push([before, &[*byte], after].concat());
            }
        }
    }
    all
}

#[tokio::test]
async fn both_halves_can_read_the_same_records() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    let mut raw = server.raw().await;
    let values = almost_records();
    let requests: Vec<_> = (0..values.len()).map(|n| request(&n.to_string())).collect();
    let mut write = redis::pipe();
    for (value, request) in values.iter().zip(&requests) {
        write.set(request.key.name(), value).ignore();
    }
    write.exec_async(&mut raw).await.unwrap();
    let ends: Vec<_> = requests.iter().map(|request| completion(request, 5, End::Done)).collect();
    // To give back what one does not have is the function's to refuse, and changes nothing.
    let held = ends.iter().map(|end| end.held.clone());
    let releases: Vec<_> = held
        .map(|held| Release {
            held,
            delay: HOUR,
            retention: HOUR,
            attempts: 1,
            first_failure_ms: None,
            in_doubt: false,
        })
        .collect();
    let seen = store.release(&releases).await.unwrap();
    let seen: Vec<bool> = seen.iter().map(|seen| *seen == Released::Foreign).collect();
    assert!(seen.iter().filter(|foreign| **foreign).count() > values.len() / 3);
    assert!(seen.iter().filter(|foreign| !**foreign).count() > values.len() / 10);
    let completed = store.complete(&ends).await.unwrap();
    for (n, foreign) in seen.into_iter().enumerate() {
        let value = String::from_utf8_lossy(&values[n]);
        assert_eq!(completed[n] == Completed::Foreign, foreign, "{value}: {:?}", completed[n]);
    }
}
