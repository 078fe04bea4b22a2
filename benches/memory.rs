//! What remembering an event takes: of the server's memory, and of its time for a claim and a completion.
//!
//! ```text
//! cargo run --release --example memory -- 1000000 compact
//! cargo run --release --example memory -- 1000000 keys
//! ```
//!
//! starts a `redis-server` of its own, ends that many events and prints both at 10^4, 10^5, … of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use oncewise::redis::RedisStore;
use oncewise::store::{
    Claim, ClaimRequest, Completion, DedupeStore, End, Held, Layout, OwnerFactory, StoreKey,
};
use redis::aio::MultiplexedConnection;

const BATCH: usize = 128;
const TTL: Duration = Duration::from_secs(8 * 86_400);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A number of one section of `INFO`.
async fn info(redis: &mut MultiplexedConnection, section: &str, name: &str) -> f64 {
    let text: String = redis::cmd("INFO").arg(section).query_async(redis).await.unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap().trim().parse().unwrap()
}

/// Seconds of the server's CPU in all.
async fn cpu(redis: &mut MultiplexedConnection) -> f64 {
    info(redis, "cpu", "used_cpu_user").await + info(redis, "cpu", "used_cpu_sys").await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let events: usize =
        arguments.next().map_or(1_000_000, |number| number.parse().expect("a number of events"));
    let layout = match arguments.next().as_deref() {
        Some("keys") => Layout::Keys,
        None | Some("compact") => Layout::Compact,
        Some(other) => panic!("{other:?} is no layout; allowed are keys and compact"),
    };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut server = Command::new("redis-server");
    server.args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"]);
    let _server = Server(server.stdout(Stdio::null()).spawn().expect("redis-server has to be installed"));
    let url = format!("redis://127.0.0.1:{port}");
    while std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut redis =
        redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let store = RedisStore::connect(&url, Duration::from_secs(5)).unwrap();
    let owners = OwnerFactory::new();
    work(&store, &owners, 0..BATCH, "warm", layout).await;
    let (memory, seconds) = (info(&mut redis, "memory", "used_memory").await, cpu(&mut redis).await);
    let mut told = 10_000;
    for first in (0..events).step_by(BATCH) {
        let last = (first + BATCH).min(events);
        work(&store, &owners, first..last, "event", layout).await;
        if last >= told || last == events {
            told *= 10;
            let bytes = (info(&mut redis, "memory", "used_memory").await - memory) / last as f64;
            let micros = (cpu(&mut redis).await - seconds) * 1e6 / last as f64;
            println!(
                "{layout:?} {last:>9} events: {bytes:>6.2} bytes and {micros:>5.2} µs of the server's CPU each"
            );
        }
    }
}

/// Claims and completes events.
async fn work(
    store: &RedisStore,
    owners: &OwnerFactory,
    numbers: std::ops::Range<usize>,
    name: &str,
    layout: Layout,
) {
    let request = |number: usize| ClaimRequest {
        key: StoreKey::new("oncewise", "group", "handler", format!("{name}-{number}")),
        owner: owners.delivery(1, "orders.created", 0, number as i64),
        lease: Duration::from_secs(10),
        retention: TTL,
        max_deliveries: 3,
        fingerprint: None,
        hop: 0,
    };
    let requests: Vec<_> = numbers.map(request).collect();
    let answers = store.claim(&requests).await.unwrap();
    let complete = |(request, answer): (ClaimRequest, Claim)| {
        let Claim::Won(grant) = answer else { panic!("{answer:?}") };
        let held = Held { key: request.key, owner: request.owner, token: grant.token, hop: 0 };
        Completion {
            held,
            end: End::Done,
            retention: TTL,
            attempts: 1,
            first_failure_ms: None,
            fingerprint: None,
            layout,
        }
    };
    let completions: Vec<_> = requests.into_iter().zip(answers).map(complete).collect();
    store.complete(&completions).await.unwrap();
}
