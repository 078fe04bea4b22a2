//! What has ended counts when replicas have it.

use oncewise::config::{RedisSettings, Secret};
use oncewise::redis::RedisStore;
use oncewise::store::{Completed, Completion, DedupeStore, End, FaultKind, Inspected, Layout, conformance};

use crate::adapter::Adapter;
use crate::deployment::{ask, in_step, until};
use crate::proxy::Proxy;
use crate::server::Server;
use crate::{PATIENCE, SOON, claim, completion, fails, is_won, request};

fn waiting(server: &Server, wait_replicas: u32) -> RedisStore {
    let settings = RedisSettings {
        url: Secret::new(server.url()),
        wait_replicas,
        wait_timeout: SOON / 4,
        response_timeout: PATIENCE,
        ..RedisSettings::default()
    };
    RedisStore::open(&settings, "oncewise").unwrap()
}

/// A primary, and a replica that follows it over a wire.
async fn pair() -> (Server, Proxy, Server) {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
    let wire = Proxy::start(primary.port()).await;
    let at = wire.address();
    let port = at.rsplit(':').next().unwrap();
    let replica = Server::start(&["--replicaof", "127.0.0.1", port]).await;
    in_step(replica.port()).await;
    (primary, wire, replica)
}

/// The same, with patience for a busy machine.
fn patient(server: &Server) -> RedisStore {
    let settings = RedisSettings {
        url: Secret::new(server.url()),
        wait_replicas: 1,
        wait_timeout: PATIENCE / 2,
        response_timeout: PATIENCE,
        ..RedisSettings::default()
    };
    RedisStore::open(&settings, "oncewise").unwrap()
}

#[tokio::test]
async fn the_contract_is_kept_while_replicas_are_waited_for() {
    let (primary, _wire, _replica) = pair().await;
    let adapter = Adapter::new(patient(&primary), &primary.url()).await;
    conformance::run(&adapter.keeping(&[Layout::Keys, Layout::Compact]), 0..10).await.unwrap();
}

#[tokio::test]
async fn what_no_replica_has_is_not_settled() {
    let (primary, wire, mut replica) = pair().await;
    let store = waiting(&primary, 1);
    for layout in [Layout::Keys, Layout::Compact] {
        let name = format!("{layout:?}");
        let (before, held) = (request(&format!("{name} before")), request(&format!("{name} held")));
        let mut ends = Vec::new();
        for request in [&before, &held] {
            let token = is_won(claim(&store, request).await);
            ends.push(Completion { layout, ..completion(request, token, End::Done) });
        }
        let first = until("the replica to have it", async || store.complete(&ends[..1]).await.ok());
        assert_eq!(first.await, [Completed::Recorded]);
        // The replica stands still: it was acknowledged, and hears of nothing more.
        replica.signal("STOP");
        for _ in 0..2 {
            // Asked again it is no more settled than before, although nothing is left to be written.
            let said = fails(store.complete(&ends[1..]).await, FaultKind::Unavailable, "0 replicas of Redis");
            assert!(said.contains("redis.wait_replicas = 1"), "{said}");
        }
        replica.signal("CONT");
        let kept = until("the replica to follow again", async || store.complete(&ends[1..]).await.ok());
        assert_eq!(kept.await, [Completed::Recorded]);
    }
    drop(wire);
    replica.kill();
}

#[tokio::test]
async fn what_was_settled_outlives_its_server() {
    let (mut primary, wire, replica) = pair().await;
    let (careful, careless) = (patient(&primary), waiting(&primary, 0));
    let ended = async |store: &RedisStore, name: &str| {
        let request = request(name);
        let token = is_won(claim(store, &request).await);
        store.complete(&[completion(&request, token, End::Done)]).await.map(|_| request.key)
    };
    let mut settled = Vec::new();
    for n in 0..50 {
        settled.push(ended(&careful, &format!("careful {n}")).await.unwrap());
    }
    // What is written from now on never arrives, and the primary does not know it yet.
    wire.stall_open_connections();
    let mut lost = Vec::new();
    for n in 0..50 {
        lost.push(ended(&careless, &format!("careless {n}")).await.unwrap());
    }
    fails(ended(&waiting(&primary, 1), "held").await, FaultKind::Unavailable, "0 replicas of Redis");
    primary.kill();
    ask::<()>(replica.port(), &["REPLICAOF", "NO", "ONE"]).await.unwrap();
    let after = waiting(&replica, 0);
    let known = async |keys| {
        let answers = after.inspect(keys).await.unwrap();
        answers.iter().filter(|answer| matches!(answer, Inspected::Known(_))).count()
    };
    assert_eq!(known(&settled[..]).await, 50);
    // Otherwise this test has frozen nothing.
    assert_eq!(known(&lost[..]).await, 0);
}
