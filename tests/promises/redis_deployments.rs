//! Redis as it is deployed, under workers that are at work: a failover with replication frozen before it, and a cluster
//! whose slots move.

use std::time::Duration;

use oncewise::config::RedisSettings;
use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    deployment::{Cluster, Sentinels, behind, in_step},
    server::Server,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        process::Worker,
        proxy::Proxy,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(120);
/// Enough to be at work while what happens to Redis happens.
const EVENTS: usize = 3_000;

/// Two pods under load, whose Redis is deployed in a way of its own.
struct Scene {
    events: usize,
    topic: TestTopic,
    pods: Pods,
    workers: Vec<Worker>,
    _folder: TempDir,
}

impl Scene {
    async fn under_load(events: usize, redis: &RedisSettings, mode: &str) -> Scene {
        let (folder, topic) = (tempfile::tempdir().unwrap(), TestTopic::new(4).await);
        let pods = Pods::of(topic.name(), folder.path())
            .soon_missed()
            .with("REDIS__URL", redis.url.reveal())
            .with("REDIS__MODE", mode)
            .with("REDIS__NODES", &redis.nodes.join(","))
            .with("REDIS__SENTINELS", &redis.sentinels.join(","))
            .with("REDIS__MASTER_NAME", &redis.master_name)
            .with("REDIS__WAIT_REPLICAS", &redis.wait_replicas.to_string())
            .with("WORKER__CONCURRENCY", "8");
        let record =
            |n| Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}","sleep_ms":10}}"#)).to(n % 4);
        topic.produce_all((0..events as i32).map(record)).await;
        let workers = vec![pods.start(TEST_WORKER), pods.start(TEST_WORKER)];
        let scene = Scene { events, topic, pods, workers, _folder: folder };
        scene.effects(100).await;
        scene
    }

    /// Waits until so many more events have taken effect.
    async fn effects(&self, more: usize) {
        let before = self.pods.effects().all().len();
        until("events to take effect", PATIENCE, async || {
            let effects = self.pods.effects().all().len();
            if effects >= before + more { Ok(()) } else { Err(effects) }
        })
        .await;
    }

    /// Everything has taken effect exactly once, and no worker has ended.
    async fn ends_well(mut self) {
        self.pods.commit(&self.topic, self.events as i64, PATIENCE).await;
        let counts = self.pods.effects().counts();
        assert_eq!(counts.len(), self.events, "lost events");
        let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
        assert_eq!(doubled, []);
        assert_eq!(self.pods.letters(&self.topic).read().await.len(), 0);
        assert!(self.workers.iter_mut().all(|worker| worker.ended().is_none()));
    }
}

/// What had not been replicated is forgotten; each event occurs once, so nothing doubles without a crash.
async fn a_primary_is_lost(wait_replicas: u32) {
    let mut primary = Server::start(&["--repl-diskless-sync-delay", "0"]).await;
    let wire = Proxy::start(primary.port()).await;
    let at = wire.address();
    let replica = Server::start(&["--replicaof", "127.0.0.1", at.rsplit(':').next().unwrap()]).await;
    in_step(replica.port()).await;
    let sentinels = Sentinels::of(primary.port()).await;
    let settings = RedisSettings { wait_replicas, ..behind(sentinels.ports()) };
    let scene = Scene::under_load(EVENTS, &settings, "sentinel").await;
    wire.stall_open_connections();
    if wait_replicas == 0 {
        scene.effects(100).await;
    } else {
        // What has ended cannot be settled: what is in flight fills up, and nothing more begins.
        scene.says("replicas of Redis").await;
    }
    primary.kill();
    sentinels.name(replica.port()).await;
    scene.says("the dedupe store is not what it was").await;
    // Who waits for a replica needs another one.
    primary.restart().await;
    scene.ends_well().await;
}

impl Scene {
    /// Waits until a worker has said this.
    async fn says(&self, text: &str) {
        until(&format!("a worker to say {text:?}"), PATIENCE, async || {
            let said = self.workers.iter().any(|worker| worker.output().contains(text));
            if said { Ok(()) } else { Err(()) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_failover_with_frozen_replication_loses_and_doubles_nothing_that_occurs_once() {
    a_primary_is_lost(0).await;
}

#[tokio::test]
async fn with_replicas_waited_for_nothing_is_settled_that_a_failover_forgets() {
    a_primary_is_lost(1).await;
}

#[tokio::test]
async fn slots_that_move_under_workers_lose_and_double_nothing() {
    let cluster = Cluster::start(0).await;
    let scene = Scene::under_load(4 * EVENTS, &cluster.settings(), "cluster").await;
    let before = scene.pods.effects().all().len();
    cluster.reshard(0, 1, 512).await;
    cluster.reshard(2, 0, 512).await;
    assert!(scene.pods.effects().all().len() > before + 100, "nobody was at work while slots moved");
    scene.ends_well().await;
}
