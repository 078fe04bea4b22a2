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

mod admin;
mod app;
mod audit;
pub mod check;
mod cloud_event;
mod codec;
pub mod config;
mod context;
#[cfg(not(feature = "crash-points"))]
mod crash;
#[cfg(feature = "crash-points")]
#[doc(hidden)]
pub mod crash;
mod erased;
mod evidence;
mod fleet;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod handler;
pub mod kafka;
mod ledger;
mod letters;
mod outcome;
pub mod pipeline;
mod publication;
mod record;
pub mod redis;
pub mod replay;
mod routes;
mod service;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod worker;

pub use app::{
    App, Demo, DemoCounts, DemoRecord, Prepare, Produce, ProduceKind, ProduceRecipe, ProduceRecord,
    ProduceRecords,
};
pub use bytes::Bytes;
pub use cloud_event::CloudEvent;
#[cfg(feature = "protobuf")]
pub use codec::Protobuf;
pub use codec::{Change, Codec, Confluent, DecodeError, EncodeError, Encoder, Json, Raw, TypedJson};
pub use context::{Context, Metadata};
pub use handler::{DedupeKey, Fingerprint, Handler};
pub use outcome::{BoxError, Cause, Classified, Failure, Handled, OrFail, Outcome, done, skip};
pub use pipeline::{delays::Delays, retry::RetryPolicy};
pub use publication::{Publication, PublishError};
pub use record::{Header, Record};
pub use routes::{RouteError, Routes, Unknown};
pub use service::{Service, ServiceError};
pub use worker::{Parts, Stopped, Worker};

/// What a handler module needs.
pub mod prelude {
    pub use crate::{
        Change, Context, DedupeKey, Failure, Fingerprint, Handled, Handler, Metadata, OrFail, Outcome,
        Publication, RetryPolicy, Routes, Service, Unknown, done, skip,
    };
}

/// The code of the README compiles.
#[cfg(all(doctest, feature = "testing"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// The code of the guide compiles, and what of it can run does.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../guide/src/first-handler.md")]
    struct FirstHandler;
    #[cfg(feature = "testing")]
    #[doc = include_str!("../guide/src/testing.md")]
    struct Testing;
    #[doc = include_str!("../guide/src/dedupe-keys.md")]
    struct DedupeKeys;
    #[doc = include_str!("../guide/src/types.md")]
    struct Types;
    #[doc = include_str!("../guide/src/events-out.md")]
    struct EventsOut;
    #[doc = include_str!("../guide/src/once.md")]
    struct Once;
    #[doc = include_str!("../guide/src/retries.md")]
    struct Retries;
    #[doc = include_str!("../guide/src/replay.md")]
    struct Replay;
    #[doc = include_str!("../guide/src/scaling.md")]
    struct Scaling;
    #[doc = include_str!("../guide/src/redis.md")]
    struct Redis;
    #[doc = include_str!("../guide/src/security.md")]
    struct Security;
}
