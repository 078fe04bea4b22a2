//! The dedupe store in Redis 7 or newer: one string per dedupe key, every operation one function on the server.
//!
//! `functions.lua` holds the semantics and the record's format, `store` speaks to it, `connection` keeps reaching the
//! server, `fault` says what its errors mean for a worker, `report` what it says about itself.
//!
//! The least a server has to allow, when another user has loaded the functions:
//!
//! ```text
//! ACL SETUSER worker on >password ~oncewise:* +fcall +time +get +set +hgetall +hset +hsetnx +hdel +info
//! ```
//!
//! for people who run `dedupe show` and `dedupe forget`, `+pttl +del` besides;
//! and, to load them, `+function|list +function|load` besides (see [`RedisStore::load_functions`]).

mod connection;
mod fault;
mod report;
mod store;
mod wire;

pub use connection::FUNCTIONS;
pub use store::RedisStore;
