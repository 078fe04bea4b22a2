//! A `redis-server` of one test, on a free port, without persistence, gone with the test.

use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    process: Child,
    port: u16,
    options: Vec<String>,
    _folder: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start(options: &[&str]) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let mut all: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]
            .iter()
            .map(|option| (*option).to_owned())
            .collect();
        all.push(port.to_string());
        all.extend(["--dir".to_owned(), folder.path().display().to_string()]);
        all.extend(options.iter().map(|option| (*option).to_owned()));
        let process = spawn(&all);
        let server = Self { process, port, options: all, _folder: folder };
        server.ready().await;
        server
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn url_of(&self, user: &str, password: &str) -> String {
        format!("redis://{user}:{password}@127.0.0.1:{}", self.port)
    }

    /// A connection of the test's own, which waits for as long as a busy machine may take.
    pub(crate) async fn raw(&self) -> redis::aio::MultiplexedConnection {
        let patience = Some(Duration::from_secs(60));
        let config = redis::AsyncConnectionConfig::new();
        let config = config.set_connection_timeout(patience).set_response_timeout(patience);
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection_with_config(&config).await.unwrap()
    }

    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.options);
        self.ready().await;
    }

    /// Sends the process a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status();
        assert!(sent.unwrap().success());
    }

    async fn ready(&self) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
            assert!(Instant::now() < deadline, "redis-server does not listen on {}", self.port);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dead already, which is what we want.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A port that nobody listens at, never answered twice by one process. It is below the range that outgoing connections
/// take theirs from, and beside those of the other tests.
pub(crate) fn free_port() -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(10_000..11_000)));
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 12_000, "a test run that uses a thousand ports");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn spawn(options: &[String]) -> Child {
    let server = Command::new("redis-server").args(options).stdout(Stdio::null()).spawn();
    server.expect("redis-server, 7.0 or newer, has to be installed")
}
