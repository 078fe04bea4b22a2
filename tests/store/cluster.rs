//! A cluster: the same contract, also while slots move and nodes die.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use oncewise::config::{RedisMode, RedisSettings, Secret};
use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completed, Completion, DedupeStore, End, FaultKind, Inspected, KnownState, Layout,
    Renewal, Renewed, Run, conformance,
};

use crate::adapter::Adapter;
use crate::deployment::{Cluster, ask, until};
use crate::load::Load;
use crate::server::Server;
use crate::{HOUR, claim, completion, fails, is_won, request};

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let cluster = Cluster::start(0).await;
    for layouts in [&[Layout::Keys][..], &[Layout::Compact], &[Layout::Keys, Layout::Compact]] {
        let adapter = Adapter::of_nodes(cluster.store(), &cluster.urls()).await;
        conformance::run(&adapter.beside(cluster.store()).keeping(layouts), 0..20).await.unwrap();
    }
    let report = cluster.store().describe().await.unwrap();
    assert_eq!(report.unreadable, [""; 0]);
    assert_eq!(report.role.as_deref(), Some("master"));
    assert_eq!(report.run_id.unwrap().split('+').count(), 3);

    // Whoever is told the wrong thing says what to set.
    let alone = RedisStore::connect(&cluster.nodes[0].url(), Duration::from_secs(2)).unwrap();
    let all: Vec<ClaimRequest> = (0..50).map(|n| request(&format!("alone {n}"))).collect();
    fails(alone.claim(&all).await, FaultKind::Refused, "set redis.mode to \"cluster\"");
    let server = Server::start(&[]).await;
    let single =
        RedisSettings { url: Secret::new(server.url()), mode: RedisMode::Cluster, ..cluster.settings() };
    let single = RedisSettings { nodes: Vec::new(), ..single };
    let single = RedisStore::open(&single, "oncewise").unwrap();
    fails(single.describe().await, FaultKind::Refused, "set redis.mode to \"standalone\"");
}

/// Moves so many slots from the first node to the second, and as many from there to the third.
async fn slots_move_under_load(layouts: &'static [Layout], slots: usize) {
    let cluster = Cluster::start(0).await;
    let (over, batches) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = Load { cluster, layouts, over, batches };
    let more = async |batches: usize| {
        let before = load.batches.load(Ordering::Relaxed);
        until("work to go on", async || {
            (load.batches.load(Ordering::Relaxed) > before + batches).then_some(())
        })
        .await;
    };
    let move_slots = async {
        more(10).await;
        let began = Instant::now();
        load.cluster.reshard(0, 1, slots).await;
        load.cluster.reshard(1, 2, slots).await;
        let took = began.elapsed();
        more(10).await;
        load.over.store(true, Ordering::Relaxed);
        took
    };
    let (took, one, other) = tokio::join!(move_slots, load.run(0), load.run(1));
    let (keys, longest) = ([one.0, other.0].concat(), one.1.max(other.1));
    eprintln!("{layouts:?}: {} events while slots moved for {took:?}, longest call {longest:?}", keys.len());
    for some in keys.chunks(1_000) {
        for answer in load.cluster.store().inspect(some).await.unwrap() {
            let Inspected::Known(known) = answer else { panic!("lost: {answer:?}") };
            assert_eq!(known.state, KnownState::Ended(End::Done));
        }
    }
}

/// Two of the 64 buckets on average.
const SOME: usize = 512;

#[cfg(feature = "matrix")]
#[tokio::test]
async fn slots_move_under_load_and_nothing_is_lost_or_doubled() {
    slots_move_under_load(&[Layout::Keys], SOME).await;
}

#[tokio::test]
async fn slots_move_under_load_and_no_end_in_short_is_lost() {
    slots_move_under_load(&[Layout::Compact, Layout::Keys], SOME).await;
}

/// All that a node has.
#[cfg(feature = "matrix")]
const ALL: usize = 5_461;

#[cfg(feature = "matrix")]
#[tokio::test]
async fn all_slots_of_a_node_move_under_load() {
    slots_move_under_load(&[Layout::Keys], ALL).await;
}

#[cfg(feature = "matrix")]
#[tokio::test]
async fn all_slots_of_a_node_move_under_load_with_ends_in_short() {
    slots_move_under_load(&[Layout::Compact, Layout::Keys], ALL).await;
}

#[tokio::test]
async fn what_is_between_two_nodes_is_not_taken_for_missing() {
    let cluster = Cluster::start(0).await;
    let store = cluster.store();
    // Two events of one bucket: one has ended in short, the other was never heard of.
    let bucket_of = |request: &ClaimRequest| {
        let name = request.key.to_string();
        name[name.find('{').unwrap() + 1..name.find('}').unwrap()].to_owned()
    };
    let ended = request("ended");
    let bucket = bucket_of(&ended);
    let fresh =
        (0..).map(|n| request(&format!("fresh {n}"))).find(|fresh| bucket_of(fresh) == bucket).unwrap();
    let token = is_won(claim(&store, &ended).await);
    let short = Completion { layout: Layout::Compact, ..completion(&ended, token, End::Done) };
    assert_eq!(store.complete(&[short]).await, Ok(vec![Completed::Recorded]));

    let (from, slot) = cluster.owner(&bucket).await;
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, from, to).await;
    // Its page is still where it was, and nothing says so where new keys are claimed by now.
    for unaware in [&store, &cluster.store()] {
        let again = ClaimRequest { owner: request("").owner, ..ended.clone() };
        fails(claim(unaware, &again).await, FaultKind::Unavailable, "slots of the cluster are moving");
    }
    fails(claim(&store, &fresh).await, FaultKind::Unavailable, "slots of the cluster are moving");
    cluster.move_slot(slot, from, to).await;
    let again = ClaimRequest { owner: request("").owner, ..ended.clone() };
    assert_eq!(claim(&store, &again).await, Ok(Claim::Done));
    is_won(claim(&store, &fresh).await);
}

#[tokio::test]
async fn a_slot_that_moves_serves_what_was_claimed_and_what_is_new() {
    let cluster = Cluster::start(0).await;
    let store = cluster.store();
    let before = request("before");
    let token = is_won(claim(&store, &before).await);
    let name = before.key.to_string();
    let bucket = &name[name.find('{').unwrap() + 1..name.find('}').unwrap()];
    let (from, slot) = cluster.owner(bucket).await;
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, from, to).await;
    // What is there still is ended there; what is not is claimed where the slot goes.
    let marks = format!("{{{bucket}}}:");
    let new =
        (0..).map(|n| request(&format!("new {n}"))).find(|new| new.key.to_string().contains(&marks)).unwrap();
    let new_token = is_won(claim(&store, &new).await);
    let ends = [completion(&before, token, End::Done), completion(&new, new_token, End::Dead)];
    assert_eq!(store.complete(&ends).await, Ok(vec![Completed::Recorded; 2]));
    let twice =
        [&before, &new].map(|request| ClaimRequest { owner: crate::request("").owner, ..request.clone() });
    assert_eq!(store.claim(&twice).await, Ok(vec![Claim::Done, Claim::Dead]));
    cluster.move_slot(slot, from, to).await;
    assert_eq!(store.claim(&twice).await, Ok(vec![Claim::Done, Claim::Dead]));
}

#[cfg(feature = "matrix")]
#[tokio::test]
async fn a_node_that_dies_is_replaced_by_its_replica_and_nothing_that_was_waited_for_is_lost() {
    let mut cluster = Cluster::start(1).await;
    let settings =
        RedisSettings { wait_replicas: 1, wait_timeout: Duration::from_secs(1), ..cluster.settings() };
    let store = RedisStore::open(&settings, "oncewise").unwrap();
    let requests: Vec<ClaimRequest> = (0..300).map(|n| request(&format!("{n}"))).collect();
    let claims = store.claim(&requests).await.unwrap();
    let ends: Vec<Completion> = requests
        .iter()
        .zip(&claims)
        .enumerate()
        .map(|(n, (request, claim))| Completion {
            layout: if n % 2 == 0 { Layout::Keys } else { Layout::Compact },
            ..completion(request, is_won(Ok(*claim)), End::Done)
        })
        .collect();
    let done = until("the replicas to have it", async || store.complete(&ends).await.ok()).await;
    assert_eq!(done, [Completed::Recorded; 300]);
    let masters = cluster.masters(0).await;
    let victim = cluster.nodes.iter().position(|node| node.port() == masters[0]).unwrap();
    let before = store.describe().await.unwrap();
    cluster.nodes[victim].kill();
    let killed = Instant::now();
    let again = until("its replica to take over", async || store.claim(&requests).await.ok()).await;
    eprintln!("taken over {:?} after the node was killed", killed.elapsed());
    assert_eq!(again, [Claim::Done; 300]);
    is_won(claim(&store, &request("after")).await);
    assert_ne!(store.describe().await.unwrap().run_id, before.run_id);
}

#[tokio::test]
async fn what_one_node_has_lost_is_noticed_and_what_has_moved_is_not_taken_for_lost() {
    let cluster = Cluster::start(0).await;
    let history = async || cluster.store().describe().await.unwrap().replication_id.unwrap();
    let before = history().await;
    assert_eq!(history().await, before);
    let (from, slot) = cluster.owner("7").await;
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, from, to).await;
    assert_eq!(history().await, before);
    cluster.move_slot(slot, from, to).await;
    assert_eq!(history().await, before);
    // No other process answers, and what it had is gone.
    ask::<()>(cluster.nodes[2].port(), &["FLUSHALL"]).await.unwrap();
    let after = history().await;
    assert_ne!(after, before);
    assert_eq!(history().await, after);
}

#[tokio::test]
async fn a_node_that_hangs_keeps_no_other_from_renewing() {
    let cluster = Cluster::start(0).await;
    let store = cluster.store();
    let requests: Vec<ClaimRequest> = (0..60).map(|n| request(&format!("{n}"))).collect();
    let claims = store.claim(&requests).await.unwrap();
    let renewals: Vec<Renewal> = requests
        .iter()
        .zip(claims)
        .map(|(request, claim)| Renewal {
            held: completion(request, is_won(Ok(claim)), End::Done).held,
            lease: HOUR,
            retention: HOUR,
            attempts: 0,
            first_failure_ms: None,
            run: Run::Unknown,
            fingerprint: None,
        })
        .collect();
    assert_eq!(store.renew(&renewals).await.unwrap(), [Renewed::Kept; 60]);
    cluster.nodes[2].signal("STOP");
    let answers = store.renew(&renewals).await.unwrap();
    let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
    let (kept, unanswered) = (count(Renewed::Kept), count(Renewed::Unanswered));
    assert!(kept > 0 && unanswered > 0 && kept + unanswered == 60, "{answers:?}");
    cluster.nodes[2].signal("CONT");
    until("all to be renewed", async || {
        (store.renew(&renewals).await.ok()? == [Renewed::Kept; 60]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_waited_for_ends_while_its_slot_moves() {
    let cluster = Cluster::start(1).await;
    let settings =
        RedisSettings { wait_replicas: 1, wait_timeout: Duration::from_secs(1), ..cluster.settings() };
    let store = RedisStore::open(&settings, "oncewise").unwrap();
    let before = request("before");
    let token = is_won(claim(&store, &before).await);
    let end = completion(&before, token, End::Done);
    let name = before.key.to_string();
    let bucket = &name[name.find('{').unwrap() + 1..name.find('}').unwrap()];
    let (from, slot) = cluster.owner(bucket).await;
    let to = (from + 1) % 3;
    cluster.begin_to_move(slot, from, to).await;
    // It is where it was, and nothing new is.
    let done =
        until("its replica to have it", async || store.complete(std::slice::from_ref(&end)).await.ok()).await;
    assert_eq!(done, [Completed::Recorded]);
    cluster.move_slot(slot, from, to).await;
    assert_eq!(claim(&store, &ClaimRequest { owner: request("").owner, ..before }).await, Ok(Claim::Done));
}
