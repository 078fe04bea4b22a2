//! What Oncewise promises, shown against a real Kafka and a real Redis. Start it with `tests/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[cfg(feature = "matrix")]
#[path = "../store/deployment.rs"]
#[allow(dead_code, unreachable_pub, reason = "every test binary uses its part")]
mod deployment;
#[cfg(feature = "matrix")]
#[path = "../store/server.rs"]
#[allow(dead_code, reason = "every test binary uses its part")]
mod server;
#[path = "../support/mod.rs"]
mod support;

mod at_once;
mod bad_input;
mod broker_outage;
mod canary;
mod check;
mod commit_order;
mod console;
mod crash;
mod dead_letter;
mod dead_letter_refused;
mod duplicates;
mod events_out;
mod evidence;
mod fingerprint;
mod first_start;
mod fleet;
mod foreign;
mod forged;
mod held_up;
mod later;
mod later_left;
mod later_outage;
mod layouts;
mod ledger;
mod letters;
mod notes;
mod once;
mod operator;
mod ours;
mod poison;
mod polling;
mod rebalance;
#[cfg(feature = "matrix")]
mod redis_deployments;
mod redriven;
mod replay;
mod restart;
mod retry;
mod revoked;
mod rights;
mod secure;
mod services;
mod shared_group;
mod shutdown;
mod slow_handler;
mod stall;
mod store_outage;
mod telemetry;
mod too_large;
mod topics;
mod two_groups;
mod types;

/// The worker whose events say what its handler does.
const TEST_WORKER: &str = env!("CARGO_BIN_EXE_test-worker");
