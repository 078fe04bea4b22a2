//! What the integration tests share: Kafka topics, Redis servers, workers in processes of their own.
//!
//! Included by each test binary with `#[path = "…/tests/support/mod.rs"] mod support;`.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "every test binary compiles all of it and uses its part"
)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

pub mod clock;
pub mod collector;
pub mod disk;
pub mod door;
pub mod gateway;
pub mod http;
pub mod kafka;
pub mod kafka_server;
pub mod ledger;
pub mod mail_server;
pub mod pod;
pub mod process;
pub mod proxy;
pub mod redis;
pub mod schema;
pub mod wait;

use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// The value of a variable that `tests/run` exports.
pub fn service(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: start the services with tests/run"))
}

/// A name that no other test uses, in this run or beside it.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", rand::random::<u64>())
}

/// The repository's folder, from whichever package the tests are compiled.
pub fn repository() -> PathBuf {
    let package = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    package
        .ancestors()
        .find(|folder| folder.join("tests/services").is_dir())
        .expect("tests/services")
        .to_owned()
}

/// The first of `count` neighbouring ports that nobody listens at, never answered twice by one process. They are
/// below the range that outgoing connections take theirs from, so that a server finds its port free again.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(12_000..18_000)));
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let first = NEXT.fetch_add(count, Ordering::Relaxed);
        assert!(first < 20_000, "a test run that uses thousands of ports");
        if (first..first + count).all(free) {
            return first;
        }
    }
}
