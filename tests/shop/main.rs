//! The shop as its users have it: its `worker` on a real Kafka, a real Redis and either database. Start it with `tests/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod chain;
mod database;
mod demo;
mod dying;
mod ledger;
mod load;
mod metrics;
mod outage;
mod postgres;
mod produce;
mod refusals;
mod setup;
mod shutdown;
mod traces;
mod world;

/// The binary under test.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");
