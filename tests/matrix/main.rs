//! Rows of the matrix of faults that take longer than tests of one promise may. Started by `tests/matrix/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod groups;
mod load;
mod members;
mod process;
mod rolling;
mod still;

/// The worker whose events say what its handler does.
const TEST_WORKER: &str = env!("CARGO_BIN_EXE_test-worker");
