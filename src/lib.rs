//! Kafka events that take effect once.
//!
//! Start with [`Handler`], what an author writes, and [`App`], what a team's `main` calls. [`pipeline`] is the
//! way of a record through the framework:
//!
//! ```text
//!            ┌──────────────────────── settle ────────────────────────┐
//! source ──► decode ──► dedupe ──► dispatch ──► retry ──► dead_letter ──► commit
//!    ▲                    │ ▲                     │             │           │
//!  Kafka                claims (Redis)       ask again     dead letters   watermark
//! ```
//!
//! `ARCHITECTURE.md` lists the invariants, each with its test.

mod app;
mod audit;
pub mod check;
mod codec;
pub mod config;
mod context;
mod crash;
mod erased;
mod handler;
pub mod kafka;
mod outcome;
pub mod pipeline;
mod publication;
mod record;
pub mod redis;
mod routes;
mod service;
pub mod store;
pub mod telemetry;
pub mod testing;
mod worker;

pub use app::{
    App, Demo, DemoCounts, DemoRecord, Prepare, Produce, ProduceKind, ProduceRecipe, ProduceRecord,
    ProduceRecords,
};
pub use codec::{Codec, DecodeError, EncodeError, Encoder, Json};
pub use context::{Context, Metadata};
pub use handler::{DedupeKey, Fingerprint, Handler};
pub use outcome::{BoxError, Failure, Handled, OrFail, Outcome, done, skip};
pub use pipeline::retry::RetryPolicy;
pub use publication::{Publication, PublishError};
pub use record::{Header, Record};
pub use routes::{RouteError, Routes};
pub use service::{Service, ServiceError};
pub use worker::{Parts, Stopped, Worker};

/// What a handler module needs.
pub mod prelude {
    pub use crate::{
        Context, DedupeKey, Failure, Fingerprint, Handled, Handler, Metadata, OrFail, Outcome, Publication,
        RetryPolicy, Routes, Service, done, skip,
    };
}

/// The code of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
