//! The dedupe store in Redis 7 or newer: one string per dedupe key, every step atomic on the server.
//!
//! `functions.lua` and `ends.lua` hold the semantics and the record's format, `compact` what is kept in short. Most keys
//! are new when claimed and still ours when completed: that goes by plain commands (`claims`, `completions`, `record`),
//! each over a connection of its own (`lines`, `line`, `resp`), and asks the functions for the rest. Everything else
//! calls functions (`store`, `wire`) over a connection that is shared (`connection`). `clock` is what is known of the
//! server's time, `fault` says what errors mean for a worker, `report` what the server says about itself.
//!
//! The least a server has to allow, when another user has loaded the functions:
//!
//! ```text
//! ACL SETUSER worker on >password ~oncewise:* +fcall +time +get +set +hgetall +hset +hsetnx +hdel +info
//! ```
//!
//! where `dedupe.layout` is "compact" for any of them, `+mget +getrange +setrange +del` besides;
//! for people who run `dedupe show` and `dedupe forget`, `+pttl +del` besides;
//! and, to load them, `+function|list +function|load` besides (see [`RedisStore::load_functions`]).

mod claims;
mod clock;
mod compact;
mod completions;
mod connection;
mod fault;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod line;
mod lines;
mod record;
mod report;
mod resp;
mod store;
mod suspects;
mod wire;

pub use connection::FUNCTIONS;
pub use store::RedisStore;
