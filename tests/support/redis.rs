//! Redis servers that a test may stop, kill and bring back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use oncewise::store::StoreKey;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, FromRedisValue};
use tempfile::TempDir;

use super::process::Worker;
use super::wait::until;

/// The Redis that all tests share; none may flush or stop it.
pub fn shared_url() -> String {
    super::service("ONCEWISE_TEST_REDIS")
}

/// The values of every event under `prefix` on the shared server, as `src/redis/functions.lua` describes them.
pub async fn store_records(prefix: &str) -> Vec<String> {
    store_records_at(&shared_url(), prefix).await
}

/// The same on another server.
pub async fn store_records_at(url: &str, prefix: &str) -> Vec<String> {
    let values: Vec<Option<String>> = of_every_event(url, prefix, "GET").await;
    values.into_iter().flatten().collect()
}

/// How much longer each event under `prefix` is remembered on the shared server.
pub async fn store_lifetimes(prefix: &str) -> Vec<Duration> {
    let seconds: Vec<i64> = of_every_event(&shared_url(), prefix, "TTL").await;
    seconds.into_iter().map(|left| Duration::from_secs(left.try_into().expect("a time to live"))).collect()
}

/// A connection that waits for as long as a busy machine may take, to look through what all tests have written, say.
pub async fn patient_connection(url: &str) -> MultiplexedConnection {
    let patience = Some(Duration::from_secs(60));
    let config = AsyncConnectionConfig::new().set_connection_timeout(patience).set_response_timeout(patience);
    let client = redis::Client::open(url).expect("the URL of Redis");
    client.get_multiplexed_async_connection_with_config(&config).await.expect("a connection to Redis")
}

async fn of_every_event<T: FromRedisValue>(url: &str, prefix: &str, command: &str) -> Vec<T> {
    let mut connection = patient_connection(url).await;
    let pattern = format!("{prefix}:{{*");
    let mut keys: Vec<Vec<u8>> =
        redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.expect("the keys");
    // Of ends in short only the pages are there.
    keys.retain(|key| key.iter().rev().nth(16) == Some(&b':') && key.iter().rev().nth(17) == Some(&b'}'));
    let mut answers = Vec::new();
    for key in keys {
        answers.push(redis::cmd(command).arg(key).query_async(&mut connection).await.expect("an answer"));
    }
    answers
}

/// A Redis of one test, at a port of its own.
#[derive(Debug)]
pub struct RedisServer {
    dir: TempDir,
    port: u16,
    append_only: bool,
    /// More words of its command line, and more of its environment.
    more: (Vec<String>, Vec<(String, String)>),
    process: Option<Worker>,
}

impl RedisServer {
    /// Starts one; with `append_only` (`--appendonly yes`) what it has written survives a kill.
    pub async fn start(append_only: bool) -> RedisServer {
        let dir = tempfile::tempdir().expect("a folder for Redis");
        RedisServer::start_with(dir, append_only, &[], &[]).await
    }

    /// The same in this folder, with more words on its command line and in its environment.
    pub async fn start_with(
        dir: TempDir,
        append_only: bool,
        words: &[&str],
        env: &[(&str, &str)],
    ) -> RedisServer {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let port = super::free_ports(1);
        let mut server = RedisServer { dir, port, append_only, more: (words, env), process: None };
        server.start_again().await;
        server
    }

    /// `redis://…` of this server; the same after every start.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it politely (SIGTERM: what persistence there is gets written).
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            process.wait(Duration::from_secs(30)).await;
        }
    }

    /// Ends it without a warning (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Freezes it: connections stand, answers do not come.
    pub fn freeze(&self) {
        self.running().freeze();
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.running().thaw();
    }

    /// Starts a stopped or killed server at its old port with what it kept.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "Redis still runs");
        let mut process = Worker::spawn(self.program());
        until("Redis to answer", Duration::from_secs(20), async || {
            if let Some(status) = process.ended() {
                panic!("Redis ended with {status}: {}", process.output());
            }
            self.try_command::<String>(&["PING"]).await
        })
        .await;
        self.process = Some(process);
    }

    /// Starts a stopped or killed server at its old port with nothing in it.
    pub async fn start_again_empty(&mut self) {
        assert!(self.process.is_none(), "Redis still runs");
        self.dir = tempfile::tempdir().expect("a folder for Redis");
        self.start_again().await;
    }

    /// Forgets everything, while it runs.
    pub async fn flush(&self) {
        self.command::<()>(&["FLUSHALL"]).await;
    }

    /// Sends one command over a connection of its own, for example `["CONFIG", "SET", "maxmemory", "1mb"]`.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> T {
        let mut command = redis::Cmd::new();
        command.arg(words);
        let answer = command.query_async(&mut patient_connection(&self.url()).await).await;
        answer.unwrap_or_else(|error| panic!("Redis refuses {words:?}: {error}"))
    }

    /// The same about one event; its key takes the second place.
    pub async fn command_on<T: FromRedisValue>(&self, word: &str, key: &StoreKey, words: &[&str]) -> T {
        let mut command = redis::cmd(word);
        command.arg(key.name()).arg(words);
        let answer = command.query_async(&mut patient_connection(&self.url()).await).await;
        answer.unwrap_or_else(|error| panic!("Redis refuses {word} {key} {words:?}: {error}"))
    }

    /// A connection of its own that gives up after two seconds.
    pub async fn connection(&self) -> redis::RedisResult<MultiplexedConnection> {
        let patience = Duration::from_secs(2);
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(patience));
        let config = config.set_response_timeout(Some(patience));
        redis::Client::open(self.url())?.get_multiplexed_async_connection_with_config(&config).await
    }

    fn program(&self) -> Command {
        let (words, env) = &self.more;
        let mut command = command(self.dir.path(), self.port, self.append_only);
        command.args(words).envs(env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// The same as [`command`](RedisServer::command), for what may be refused or get no answer.
    pub async fn try_command<T: FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let mut command = redis::Cmd::new();
        command.arg(words);
        command.query_async(&mut self.connection().await?).await
    }

    fn running(&self) -> &Worker {
        self.process.as_ref().expect("Redis runs")
    }
}

fn command(dir: &Path, port: u16, append_only: bool) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
    command.args(["--appendonly", if append_only { "yes" } else { "no" }]).arg("--dir").arg(dir);
    command
}
