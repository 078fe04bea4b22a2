//! Rows of the matrix of faults that take longer than tests of one promise may. Started by `tests/matrix/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../checker/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "the command uses the rest")]
mod checker;

mod broker;
mod case;
mod clocks;
mod crash;
mod group;
mod groups;
mod load;
mod members;
mod mistakes;
mod process;
mod records;
mod rig;
mod rights;
mod rolling;
mod soak;
mod still;
mod store;

/// The worker whose events say what its handler does.
const TEST_WORKER: &str = env!("CARGO_BIN_EXE_test-worker");
