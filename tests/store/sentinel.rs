//! Behind Sentinel: failovers with replication frozen before, and an old primary that nobody has told.

use std::time::{Duration, Instant};

use oncewise::config::RedisSettings;
use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, DedupeStore, End, FaultKind, Layout, StoreKey, conformance,
};

use crate::adapter::Adapter;
use crate::deployment::{Sentinels, ask, behind, in_step, until};
use crate::proxy::Proxy;
use crate::server::{Server, free_port};
use crate::{claim, completion, fails, is_won, request};

/// A primary, a replica that follows it over a wire, and three Sentinels.
struct Scene {
    primary: Server,
    wire: Proxy,
    replica: Server,
    sentinels: Sentinels,
}

impl Scene {
    async fn start(options: &[&str]) -> Self {
        let mut all = vec!["--repl-diskless-sync-delay", "0"];
        all.extend(options);
        let primary = Server::start(&all).await;
        let wire = Proxy::start(primary.port()).await;
        let at = wire.address();
        let replica = Server::start(&["--replicaof", "127.0.0.1", at.rsplit(':').next().unwrap()]).await;
        in_step(replica.port()).await;
        let sentinels = Sentinels::of(primary.port()).await;
        Self { primary, wire, replica, sentinels }
    }

    fn settings(&self) -> RedisSettings {
        behind(self.sentinels.ports())
    }

    fn store(&self) -> RedisStore {
        RedisStore::open(&self.settings(), "oncewise").unwrap()
    }
}

/// Claims and ends an event; its key.
async fn ended(store: &RedisStore, name: &str) -> StoreKey {
    let request = request(name);
    let token = is_won(claim(store, &request).await);
    let done = store.complete(&[completion(&request, token, End::Done)]).await;
    assert_eq!(done, Ok(vec![Completed::Recorded]));
    request.key
}

#[tokio::test]
async fn the_contract_is_kept_behind_sentinel() {
    let scene = Scene::start(&[]).await;
    let adapter = Adapter::new(scene.store(), &scene.primary.url()).await;
    conformance::run(&adapter.keeping(&[Layout::Keys, Layout::Compact]), 0..20).await.unwrap();
}

#[tokio::test]
async fn a_failover_forgets_what_was_not_replicated_and_nothing_else() {
    let mut scene = Scene::start(&[]).await;
    let store = scene.store();
    let before = store.describe().await.unwrap();
    let (mut kept, mut lost) = (Vec::new(), Vec::new());
    for n in 0..100 {
        kept.push(ended(&store, &format!("kept {n}")).await);
    }
    // Until the replica has all of it.
    let written: u64 = offset(scene.primary.port()).await;
    until("the replica to have it", async || (offset(scene.replica.port()).await >= written).then_some(()))
        .await;
    scene.wire.stall_open_connections();
    for n in 0..100 {
        lost.push(ended(&store, &format!("lost {n}")).await);
    }
    scene.primary.kill();
    let killed = Instant::now();
    scene.sentinels.name(scene.replica.port()).await;
    until("the store to follow", async || store.inspect(&kept).await.ok()).await;
    eprintln!("followed {:?} after the primary was killed", killed.elapsed());
    let known = async |keys: &[StoreKey]| {
        let answers = store.inspect(keys).await.unwrap();
        answers.iter().filter(|answer| **answer != oncewise::store::Inspected::Unknown).count()
    };
    assert_eq!((known(&kept).await, known(&lost).await), (100, 0));
    let after = store.describe().await.unwrap();
    assert_eq!(after.role.as_deref(), Some("master"));
    assert_ne!((before.run_id, before.replication_id), (after.run_id, after.replication_id));
    // And it works.
    ended(&store, "after").await;
}

async fn offset(port: u16) -> u64 {
    let info: String = ask(port, &["INFO", "replication"]).await.unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("slave_repl_offset:"));
    let line = line.or_else(|| info.lines().find_map(|line| line.strip_prefix("master_repl_offset:")));
    line.unwrap().trim().parse().unwrap()
}

#[tokio::test]
async fn a_primary_that_is_demoted_while_its_connections_stand_is_left() {
    let scene = Scene::start(&[]).await;
    let store = scene.store();
    ended(&store, "before").await;
    until("a failover to begin", async || {
        ask::<()>(scene.sentinels.ports()[0], &["SENTINEL", "FAILOVER", "orders"]).await.ok()
    })
    .await;
    scene.sentinels.name(scene.replica.port()).await;
    // Reads alone would be answered by the old one for ever.
    until("the store to look at the new primary", async || {
        let report = store.describe().await.ok()?;
        (report.role.as_deref() == Some("master")
            && store.address().ends_with(&scene.replica.port().to_string()))
        .then_some(())
    })
    .await;
    let after = request("after");
    let won = until("claims to be granted again", async || claim(&store, &after).await.ok()).await;
    is_won(Ok(won));
}

#[tokio::test]
async fn an_old_primary_that_nobody_has_told_serves_no_longer_than_its_replicas_may_be_late() {
    let window = Duration::from_secs(2);
    let scene = Scene::start(&["--min-replicas-to-write", "1", "--min-replicas-max-lag", "2"]).await;
    // One worker that sees the Sentinels only through wires of its own.
    let mut wires = Vec::new();
    for port in scene.sentinels.ports() {
        wires.push(Proxy::start(*port).await);
    }
    let ports: Vec<u16> =
        wires.iter().map(|wire| wire.address().rsplit(':').next().unwrap().parse().unwrap()).collect();
    let cut_off = RedisStore::open(&behind(&ports), "oncewise").unwrap();
    let other = scene.store();
    ended(&cut_off, "before").await;
    ended(&other, "before, too").await;

    // The old primary hears neither from its replica nor from those who would demote it.
    let deaf = ["ACL", "SETUSER", "default", "-replicaof", "-slaveof", "-config|rewrite"];
    ask::<()>(scene.primary.port(), &deaf).await.unwrap();
    scene.wire.stall_open_connections();
    for wire in &wires {
        wire.refuse();
    }
    let split = Instant::now();
    until("a failover to begin", async || {
        ask::<()>(scene.sentinels.ports()[0], &["SENTINEL", "FAILOVER", "orders"]).await.ok()
    })
    .await;

    // Until its primary notices it goes on, and all it does is unknown to the others.
    let mut granted = Vec::new();
    let stopped = until("the old primary to refuse", async || {
        let request = request(&format!("split {}", granted.len()));
        match claim(&cut_off, &request).await {
            Ok(Claim::Won(_)) => {
                granted.push(request);
                None
            }
            Ok(other) => panic!("{other:?}"),
            Err(fault) => Some(fault),
        }
    })
    .await;
    let took = split.elapsed();
    // It said that it has no replicas, and nobody was there to say who is the primary.
    assert!(stopped.message.contains("no Sentinel names the primary"), "{stopped}");
    assert!(took < window * 5, "{took:?}");
    assert!(!granted.is_empty(), "it was never split");
    scene.sentinels.name(scene.replica.port()).await;
    // Each of them is granted once more, and no oftener.
    for request in &granted {
        let again = ClaimRequest { owner: crate::request("").owner, ..request.clone() };
        let won = until("the other worker to follow", async || claim(&other, &again).await.ok()).await;
        is_won(Ok(won));
        let third = ClaimRequest { owner: crate::request("").owner, ..request.clone() };
        assert!(matches!(claim(&other, &third).await, Ok(Claim::Busy { .. })));
    }
    fails(claim(&cut_off, &request("late")).await, FaultKind::Unavailable, "");
}

#[tokio::test]
async fn a_replica_that_is_named_as_the_primary_is_not_used() {
    let primary = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
    let replica = Server::start(&["--replicaof", "127.0.0.1", &primary.port().to_string()]).await;
    in_step(replica.port()).await;
    let sentinels = Sentinels::watch(replica.port(), 0).await;
    let store = RedisStore::open(&behind(sentinels.ports()), "oncewise").unwrap();
    fails(store.describe().await, FaultKind::Unavailable, "is named as the primary and says it is slave");
}

#[tokio::test]
async fn what_is_no_sentinel_and_who_knows_nobody_is_named() {
    let scene = Scene::start(&[]).await;
    let unknown = RedisSettings { master_name: "payments".to_owned(), ..scene.settings() };
    let unknown = RedisStore::open(&unknown, "oncewise").unwrap();
    fails(unknown.describe().await, FaultKind::Refused, "redis.master_name");
    let store = RedisStore::open(&behind(&[scene.primary.port()]), "oncewise").unwrap();
    fails(store.describe().await, FaultKind::Refused, "redis.sentinels");
    let address = format!("redis://127.0.0.1:{}", scene.sentinels.ports()[0]);
    let direct = RedisStore::connect(&address, Duration::from_secs(2)).unwrap();
    fails(direct.describe().await, FaultKind::Refused, "set redis.mode to \"sentinel\"");
}

#[tokio::test]
async fn a_minority_of_the_sentinels_names_nobody() {
    let scene = Scene::start(&[]).await;
    let ports = scene.sentinels.ports();
    let alone = RedisStore::open(&behind(&[ports[0], free_port(), free_port()]), "oncewise").unwrap();
    fails(claim(&alone, &request("k")).await, FaultKind::Unavailable, "1 of 3 Sentinels answered");
    fails(alone.describe().await, FaultKind::Unavailable, "1 of 3 Sentinels answered");
    let two = RedisStore::open(&behind(&[ports[0], ports[1], free_port()]), "oncewise").unwrap();
    is_won(claim(&two, &request("k")).await);
}
