//! What Oncewise promises, shown against a real Kafka and a real Redis. Start it with `tests/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod broker_outage;
mod check;
mod commit_order;
mod crash;
mod dead_letter;
mod dead_letter_refused;
mod duplicates;
mod events_out;
mod evidence;
mod fingerprint;
mod first_start;
mod foreign;
mod held_up;
mod layouts;
mod ledger;
mod once;
mod operator;
mod poison;
mod polling;
mod rebalance;
mod replay;
mod restart;
mod retry;
mod revoked;
mod services;
mod shared_group;
mod shutdown;
mod slow_handler;
mod store_outage;
mod topics;
mod two_groups;
mod types;

/// The worker whose events say what its handler does.
const TEST_WORKER: &str = env!("CARGO_BIN_EXE_test-worker");
