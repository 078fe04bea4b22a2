//! Redis as it is deployed: a primary with a replica and three Sentinels, and clusters. All real processes.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use oncewise::config::{RedisMode, RedisSettings, Secret};
use oncewise::redis::RedisStore;
use redis::{FromRedisValue, RedisResult};
use tempfile::TempDir;

use crate::server::{Server, free_port};

/// Long enough for a busy machine, short enough to wait for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long these processes may take to agree on something, on a busy machine.
pub(crate) const AGREEMENT: Duration = Duration::from_secs(40);

/// Asks again until there is an answer.
pub(crate) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + AGREEMENT;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited for {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Asks the server at a port of this machine, over a connection of its own.
pub(crate) async fn ask<T: FromRedisValue>(port: u16, words: &[&str]) -> RedisResult<T> {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}"))?;
    let patience = Some(Duration::from_secs(2));
    let config = redis::AsyncConnectionConfig::new();
    let config = config.set_response_timeout(patience).set_connection_timeout(patience);
    let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
    redis::cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await
}

/// Waits until a replica has what its primary has.
pub(crate) async fn in_step(replica: u16) {
    until("a replica to follow", async || {
        let info: String = ask(replica, &["INFO", "replication"]).await.ok()?;
        info.contains("master_link_status:up").then_some(())
    })
    .await;
}

/// Three Sentinels that watch one primary.
pub(crate) struct Sentinels {
    processes: Vec<Child>,
    ports: Vec<u16>,
    _folder: TempDir,
}

impl Sentinels {
    /// They know of each other and of one replica when this returns.
    pub(crate) async fn of(primary: u16) -> Self {
        Self::watch(primary, 1).await
    }

    /// The same where it has so many replicas.
    pub(crate) async fn watch(primary: u16, replicas: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sentinels = Self { processes: Vec::new(), ports: Vec::new(), _folder: folder };
        for _ in 0..3 {
            let port = free_port();
            let file = sentinels._folder.path().join(format!("{port}.conf"));
            let text = format!(
                "bind 127.0.0.1\nport {port}\nsentinel monitor orders 127.0.0.1 {primary} 2\n\
                 sentinel down-after-milliseconds orders 700\nsentinel failover-timeout orders 10000\n"
            );
            std::fs::write(&file, text).unwrap();
            let mut command = Command::new("redis-server");
            let process = command.arg(&file).arg("--sentinel").stdout(Stdio::null()).spawn();
            sentinels.processes.push(process.expect("redis-server"));
            sentinels.ports.push(port);
        }
        for port in &sentinels.ports {
            until("the Sentinels to know each other", async || {
                let said: Vec<String> = ask(*port, &["SENTINEL", "MASTER", "orders"]).await.ok()?;
                let field = |name: &str| said.chunks(2).find(|pair| pair[0] == name).map(|pair| &pair[1][..]);
                (field("num-other-sentinels") == Some("2")
                    && field("num-slaves") == Some(&replicas.to_string()[..]))
                .then_some(())
            })
            .await;
        }
        sentinels
    }

    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Waits until the majority names this primary.
    pub(crate) async fn name(&self, primary: u16) {
        for port in &self.ports {
            until("the Sentinels to name another primary", async || {
                let said: Vec<String> =
                    ask(*port, &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "orders"]).await.ok()?;
                (said.get(1) == Some(&primary.to_string())).then_some(())
            })
            .await;
        }
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for process in &mut self.processes {
            drop(process.kill());
            drop(process.wait());
        }
    }
}

/// Settings of a store behind these Sentinels.
pub(crate) fn behind(sentinels: &[u16]) -> RedisSettings {
    RedisSettings {
        mode: RedisMode::Sentinel,
        sentinels: sentinels.iter().map(|port| format!("127.0.0.1:{port}")).collect(),
        master_name: "orders".to_owned(),
        response_timeout: PATIENCE,
        ..RedisSettings::default()
    }
}

/// A cluster on this machine.
pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    /// Three masters, each with so many replicas.
    pub(crate) async fn start(replicas: usize) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 * (1 + replicas) {
            let bus = free_port().to_string();
            let options =
                ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            nodes.push(Server::start(&options).await);
        }
        let cluster = Self { nodes };
        let mut words = vec!["create".to_owned()];
        words.extend(cluster.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())));
        words.extend(["--cluster-replicas".to_owned(), replicas.to_string(), "--cluster-yes".to_owned()]);
        cluster_cli(&words).await;
        for node in &cluster.nodes {
            until("the nodes to agree", async || {
                let info: String = ask(node.port(), &["CLUSTER", "INFO"]).await.ok()?;
                let slots: Vec<redis::Value> = ask(node.port(), &["CLUSTER", "SLOTS"]).await.ok()?;
                (info.contains("cluster_state:ok") && slots.len() == 3).then_some(())
            })
            .await;
        }
        cluster
    }

    pub(crate) fn settings(&self) -> RedisSettings {
        RedisSettings {
            url: Secret::new(self.nodes[0].url()),
            nodes: self.nodes[1..].iter().map(|node| format!("127.0.0.1:{}", node.port())).collect(),
            mode: RedisMode::Cluster,
            response_timeout: PATIENCE * 2,
            ..RedisSettings::default()
        }
    }

    pub(crate) fn store(&self) -> RedisStore {
        RedisStore::open(&self.settings(), "oncewise").unwrap()
    }

    pub(crate) fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }

    /// Moves so many slots from one master to another, as operators do.
    pub(crate) async fn reshard(&self, from: usize, to: usize, slots: usize) {
        let ids = [self.id(from).await, self.id(to).await];
        let [from, to] = ids;
        let words = ["reshard", &format!("127.0.0.1:{}", self.nodes[0].port()), "--cluster-from", &from]
            .into_iter()
            .chain(["--cluster-to", &to, "--cluster-slots", &slots.to_string(), "--cluster-yes"])
            .map(str::to_owned)
            .collect::<Vec<_>>();
        cluster_cli(&words).await;
    }

    async fn id(&self, node: usize) -> String {
        ask(self.nodes[node].port(), &["CLUSTER", "MYID"]).await.unwrap()
    }

    /// Begins to move a slot, and moves nothing yet.
    pub(crate) async fn begin_to_move(&self, slot: u16, from: usize, to: usize) {
        let (slot, ids) = (slot.to_string(), [self.id(from).await, self.id(to).await]);
        for (node, state, other) in [(to, "IMPORTING", &ids[0]), (from, "MIGRATING", &ids[1])] {
            let words = ["CLUSTER", "SETSLOT", &slot, state, other];
            ask::<()>(self.nodes[node].port(), &words).await.unwrap();
        }
    }

    /// Moves what a slot holds, and then the slot.
    pub(crate) async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let (port, there) = (self.nodes[from].port(), self.nodes[to].port().to_string());
        let slot = slot.to_string();
        let keys: Vec<Vec<u8>> = ask(port, &["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]).await.unwrap();
        for key in keys {
            let mut raw = self.nodes[from].raw().await;
            let mut command = redis::cmd("MIGRATE");
            command.arg("127.0.0.1").arg(&there).arg(key).arg(0).arg(5_000);
            command.exec_async(&mut raw).await.unwrap();
        }
        let id = self.id(to).await;
        for node in [to, from] {
            let words = ["CLUSTER", "SETSLOT", &slot, "NODE", &id];
            ask::<()>(self.nodes[node].port(), &words).await.unwrap();
        }
    }

    /// Which node has the slot of what stands in braces, and which slot that is.
    pub(crate) async fn owner(&self, tag: &str) -> (usize, u16) {
        for (number, node) in self.nodes.iter().enumerate() {
            let mine: redis::RedisResult<Vec<redis::Value>> =
                ask(node.port(), &["MGET", &format!("{{{tag}}}a"), &format!("{{{tag}}}b")]).await;
            if mine.is_ok() {
                return (number, ask(node.port(), &["CLUSTER", "KEYSLOT", tag]).await.unwrap());
            }
        }
        panic!("nobody has the slot");
    }

    /// Which of the nodes are masters with slots, by their ports.
    #[cfg(feature = "matrix")]
    pub(crate) async fn masters(&self, asked: usize) -> Vec<u16> {
        let slots: Vec<Vec<redis::Value>> =
            ask(self.nodes[asked].port(), &["CLUSTER", "SLOTS"]).await.unwrap();
        let mut ports: Vec<u16> = slots
            .iter()
            .map(|range| {
                let node: Vec<redis::Value> = redis::from_redis_value(range[2].clone()).unwrap();
                redis::from_redis_value(node[1].clone()).unwrap()
            })
            .collect();
        ports.sort_unstable();
        ports.dedup();
        ports
    }
}

async fn cluster_cli(words: &[String]) {
    let mut command = tokio::process::Command::new("redis-cli");
    let output = command.arg("--cluster").args(words).output().await.expect("redis-cli has to be installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
}
