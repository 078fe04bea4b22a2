//! `deploy/` fits the worker: what can be seen without a container engine. Nothing here builds or runs an image; what the
//! composition runs is run as plain processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod compose;
mod containers;
mod dockerfile;
mod image;
mod manifests;
mod pods;
mod scaling;
mod schemas;
mod stage;
mod tools;
mod topology;

use std::path::{Path, PathBuf};

use handlers::config::ShopConfig;

/// The binary that the image holds.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");

/// The repository's folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The services of the binary, with the topics they read or publish to.
async fn services() -> Vec<oncewise::Service> {
    let folder = tempfile::tempdir().unwrap();
    let database_url = format!("sqlite://{}", folder.path().join("shop.db").display());
    handlers::services(&ShopConfig { database_url, ..Default::default() }).await.unwrap()
}
