//! The Redis store against real servers: it keeps the contract, and comes back from what happens to servers.
//!
//! `ONCEWISE_TEST_REDIS` (a redis:// URL) names the server for the contract; without it, and for everything that has
//! to be killed, stopped or locked, the tests start `redis-server` themselves.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail the test"
)]

mod adapter;
mod cluster;
mod deployment;
mod kept;
mod load;
mod pages;
mod plain;
#[path = "../support/proxy/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "every test binary uses its part")]
mod proxy;
mod rights;
mod sentinel;
mod server;
mod tls;
mod together;

use std::time::{Duration, Instant};

use adapter::Adapter;
use futures_util::future::join_all;
use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, FaultKind, Held, Layout, OwnerFactory,
    StoreFault, StoreKey, conformance,
};
use proxy::Proxy;
use server::Server;

/// For answers that come, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// For answers that do not come: long enough for a busy machine, short enough to wait for.
const SOON: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3_600);

fn request(key: &str) -> ClaimRequest {
    ClaimRequest {
        key: StoreKey::new("oncewise", "group", "handler", key),
        owner: OwnerFactory::new().delivery(1, "topic", 0, 0),
        lease: HOUR,
        retention: HOUR,
        max_deliveries: 3,
        fingerprint: None,
        hop: 0,
    }
}

fn completion(request: &ClaimRequest, token: u64, end: End) -> Completion {
    let held = Held { key: request.key.clone(), owner: request.owner.clone(), token, hop: request.hop };
    Completion {
        held,
        end,
        retention: HOUR,
        attempts: 1,
        first_failure_ms: None,
        fingerprint: None,
        layout: Layout::Keys,
    }
}

async fn claim(store: &RedisStore, request: &ClaimRequest) -> Result<Claim, StoreFault> {
    let answers = store.claim(std::slice::from_ref(request)).await?;
    assert_eq!(answers.len(), 1);
    Ok(answers[0])
}

#[track_caller]
fn is_won(claim: Result<Claim, StoreFault>) -> u64 {
    match claim {
        Ok(Claim::Won(grant)) => grant.token,
        other => panic!("expected Won, got {other:?}"),
    }
}

#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T, StoreFault>, kind: FaultKind, says: &str) -> String {
    let fault = result.unwrap_err();
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.message.contains(says), "{fault} does not say {says:?}");
    fault.message
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let (_server, url) = server_of_the_contract().await;
    let store = RedisStore::connect(&url, Duration::from_secs(5)).unwrap();
    conformance::run(&Adapter::new(store, &url).await, 0..200).await.unwrap();
}

#[tokio::test]
async fn it_keeps_the_contract_with_ends_in_short() {
    let (_server, url) = server_of_the_contract().await;
    let store = RedisStore::connect(&url, Duration::from_secs(5)).unwrap();
    let adapter = Adapter::new(store, &url).await.keeping(&[Layout::Compact]);
    conformance::run(&adapter, 0..200).await.unwrap();
}

#[tokio::test]
async fn workers_of_both_layouts_keep_the_contract_together() {
    let (_server, url) = server_of_the_contract().await;
    let [one, other] = [(); 2].map(|()| RedisStore::connect(&url, Duration::from_secs(5)).unwrap());
    let adapter = Adapter::new(one, &url).await.beside(other).keeping(&[Layout::Keys, Layout::Compact]);
    conformance::run(&adapter, 0..200).await.unwrap();
}

#[tokio::test]
async fn it_keeps_the_contract_with_claims_that_are_made_and_ended_together() {
    let (_server, url) = server_of_the_contract().await;
    let store = RedisStore::connect(&url, Duration::from_secs(5)).unwrap().always_together(None);
    conformance::run(&Adapter::new(store, &url).await.claiming_together(), 0..400).await.unwrap();
}

#[tokio::test]
async fn workers_that_claim_together_keep_the_contract_beside_others() {
    let (_server, url) = server_of_the_contract().await;
    let [one, other, short] = [(); 3].map(|()| RedisStore::connect(&url, Duration::from_secs(5)).unwrap());
    let adapter = Adapter::new(one, &url).await.beside(other.always_together(None)).beside(short);
    let adapter = adapter.claiming_together().keeping(&[Layout::Keys, Layout::Compact]);
    conformance::run(&adapter, 0..200).await.unwrap();
}

async fn server_of_the_contract() -> (Option<Server>, String) {
    if let Ok(url) = std::env::var("ONCEWISE_TEST_REDIS") {
        return (None, url);
    }
    let server = Server::start(&[]).await;
    let url = server.url();
    (Some(server), url)
}

#[tokio::test]
async fn a_restarted_server_gets_its_functions_back() {
    let mut server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    is_won(claim(&store, &request("before")).await);
    let before = store.describe().await.unwrap();
    server.kill();
    fails(claim(&store, &request("while")).await, FaultKind::Unavailable, "cannot be reached");
    server.restart().await;
    is_won(claim(&store, &request("before")).await);
    let after = store.describe().await.unwrap();
    assert_ne!(before.run_id, after.run_id);
    assert_eq!(after.unreadable, Vec::<String>::new());
}

#[tokio::test]
async fn functions_that_vanish_or_differ_are_loaded() {
    let server = Server::start(&[]).await;
    let mut raw = server.raw().await;
    let other =
        "#!lua name=oncewise_v2\nredis.register_function('oncewise_v2_claim', function() return {} end)";
    redis::cmd("FUNCTION").arg("LOAD").arg(other).exec_async(&mut raw).await.unwrap();
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    is_won(claim(&store, &request("different")).await);
    redis::cmd("FUNCTION").arg("FLUSH").exec_async(&mut raw).await.unwrap();
    is_won(claim(&store, &request("vanished")).await);
}

#[tokio::test]
async fn ends_in_short_are_found_even_when_the_functions_have_vanished() {
    let server = Server::start(&[]).await;
    let mut raw = server.raw().await;
    let [ours, theirs, unaware] = [(); 3].map(|()| RedisStore::connect(&server.url(), PATIENCE).unwrap());
    for (name, store) in [("first", &ours), ("second", &theirs), ("third", &unaware)] {
        let request = request(name);
        let token = is_won(claim(&ours, &request).await);
        let short = Completion { layout: Layout::Compact, ..completion(&request, token, End::Done) };
        assert_eq!(ours.complete(std::slice::from_ref(&short)).await, Ok(vec![Completed::Recorded]));
        // One of them has asked before, and asks for the functions with its claims.
        is_won(claim(&theirs, &crate::request(&format!("beside the {name}"))).await);
        redis::cmd("FUNCTION").arg("FLUSH").exec_async(&mut raw).await.unwrap();
        assert_eq!(claim(store, &request).await, Ok(Claim::Done));
        redis::cmd("FUNCTION").arg("FLUSH").exec_async(&mut raw).await.unwrap();
        assert_eq!(ours.complete(&[short]).await, Ok(vec![Completed::Recorded]));
    }
}

#[tokio::test]
async fn passwords_are_asked_for_and_never_shown() {
    let server = Server::start(&["--requirepass", "sesame"]).await;
    let without = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    fails(claim(&without, &request("k")).await, FaultKind::Refused, "wants a password");
    let wrong = RedisStore::connect(&server.url_of("default", "hunter2"), PATIENCE).unwrap();
    let said = fails(wrong.describe().await, FaultKind::Refused, "refused the user or password");
    let right = RedisStore::connect(&server.url_of("default", "sesame"), PATIENCE).unwrap();
    is_won(claim(&right, &request("k")).await);
    let shown = format!("{said} {wrong:?} {right:?} {}", right.address());
    assert!(!shown.contains("hunter2") && !shown.contains("sesame"), "{shown}");
}

#[tokio::test]
async fn a_demoted_server_is_left_until_it_is_primary_again() {
    let (primary, server) = (Server::start(&[]).await, Server::start(&[]).await);
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    is_won(claim(&store, &request("before")).await);
    let mut raw = server.raw().await;
    let port = primary.port().to_string();
    redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).exec_async(&mut raw).await.unwrap();
    fails(claim(&store, &request("while")).await, FaultKind::Unavailable, "READONLY");
    assert_eq!(store.describe().await.unwrap().role.as_deref(), Some("slave"));
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec_async(&mut raw).await.unwrap();
    is_won(claim(&store, &request("after")).await);
}

#[tokio::test]
async fn a_frozen_server_times_out_and_comes_back() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&server.url(), SOON).unwrap();
    let request = request("k");
    is_won(claim(&store, &request).await);
    server.signal("STOP");
    for _ in 0..4 {
        // The fourth finds the connection given up and cannot make another.
        fails(claim(&store, &request).await, FaultKind::Unavailable, "in time");
    }
    // Callers who find no connection share one attempt instead of queueing for a time-out each.
    let (fresh, begun) = (RedisStore::connect(&server.url(), SOON).unwrap(), Instant::now());
    for answer in join_all((0..20).map(|_| claim(&fresh, &request))).await {
        fails(answer, FaultKind::Unavailable, "in time");
    }
    assert!(begun.elapsed() < 10 * SOON, "{:?}", begun.elapsed());
    server.signal("CONT");
    is_won(claim(&store, &request).await);
}

#[tokio::test]
async fn dead_connections_are_given_up() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), SOON).unwrap();
    let before = request("before");
    is_won(claim(&store, &before).await);
    // So that several wait for their next use.
    join_all((0..8).map(|_| claim(&store, &before))).await;
    proxy.stall_open_connections();
    // A claim has a connection to itself, and whoever finds one dead gives up the others, too.
    fails(claim(&store, &before).await, FaultKind::Unavailable, "in time");
    is_won(claim(&store, &request("after")).await);
    let key = std::slice::from_ref(&before.key);
    // A look shares one with others, who may only have asked too much of the server.
    for _ in 0..3 {
        fails(store.inspect(key).await, FaultKind::Unavailable, "in time");
    }
    store.inspect(key).await.unwrap();
}

#[tokio::test]
async fn a_claim_whose_reply_was_lost_is_won_again() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), SOON).unwrap();
    let ours = request("k");
    store.describe().await.unwrap();
    is_won(claim(&store, &request("other")).await);
    proxy.lose_replies(true);
    fails(claim(&store, &ours).await, FaultKind::Unavailable, "in time");
    proxy.cut_open_connections();
    proxy.lose_replies(false);
    // The lost reply was the grant: somebody else is kept out, and we are let in.
    assert!(matches!(claim(&store, &request("k")).await, Ok(Claim::Busy { .. })));
    is_won(claim(&store, &ours).await);
}

#[tokio::test]
async fn a_connection_that_breaks_is_not_noticed() {
    let server = Server::start(&[]).await;
    let proxy = Proxy::start(server.port()).await;
    let store = RedisStore::connect(&format!("redis://{}", proxy.address()), PATIENCE).unwrap();
    is_won(claim(&store, &request("before")).await);
    proxy.cut_open_connections();
    is_won(claim(&store, &request("after")).await);
}

#[tokio::test]
async fn a_full_server_takes_no_claims_but_lets_work_end() {
    let server = Server::start(&["--maxmemory-policy", "noeviction"]).await;
    let store = RedisStore::connect(&server.url(), PATIENCE).unwrap();
    let claimed = [Layout::Keys, Layout::Compact].map(|layout| (layout, request(&format!("{layout:?}"))));
    let request = &claimed[0].1;
    let mut tokens = Vec::new();
    for (_, request) in &claimed {
        tokens.push(is_won(claim(&store, request).await));
    }
    let mut raw = server.raw().await;
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg("1").exec_async(&mut raw).await.unwrap();
    fails(claim(&store, request).await, FaultKind::Unavailable, "OOM");
    for ((layout, request), token) in claimed.iter().zip(tokens) {
        let done = Completion { layout: *layout, ..completion(request, token, End::Done) };
        assert_eq!(store.complete(&[done]).await, Ok(vec![Completed::Recorded]));
    }
    let report = store.describe().await.unwrap();
    assert_eq!((report.maxmemory, report.maxmemory_policy.as_deref()), (Some(1), Some("noeviction")));
}

#[tokio::test]
async fn what_cannot_be_a_server_is_named_without_its_password() {
    for url in ["hunter2", "http://:hunter2@localhost", "redis://:hunter2@localhost/x"] {
        let said = fails(RedisStore::connect(url, PATIENCE), FaultKind::Refused, "redis.url cannot be used");
        assert!(said.contains("allowed is redis://") && !said.contains("hunter2"), "{said}");
    }
    let nobody = RedisStore::connect("redis://:hunter2@127.0.0.1:1", PATIENCE).unwrap();
    let said = fails(nobody.describe().await, FaultKind::Unavailable, "127.0.0.1:1 cannot be reached");
    assert!(!said.contains("hunter2"), "{said}");
}
