//! What Oncewise promises, shown against a real Kafka and a real Redis. Start it with `tests/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod first_start;
mod once;
mod polling;
mod rebalance;
mod services;
mod shutdown;
mod slow_handler;
mod topics;

/// The worker whose events say what its handler does.
const TEST_WORKER: &str = env!("CARGO_BIN_EXE_test-worker");
