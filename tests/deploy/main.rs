//! `deploy/` fits the worker: what can be seen without a container engine. Nothing here builds or runs an image.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod compose;
mod containers;
mod dockerfile;
mod image;

use std::path::{Path, PathBuf};

/// The binary that the image holds.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");

/// The repository's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
