//! The dedupe store in Redis 7 or newer: one string per dedupe key, every step atomic on the server.
//!
//! `functions.lua` and `ends.lua` hold the semantics and the record's format, `compact` what is kept in short. Most keys
//! are new when claimed and still ours when completed: that goes by plain commands (`claims`, `completions`, `record`),
//! each over a connection of its own (`lines`, `line`, `resp`), and asks the functions for the rest. Batches that are likely
//! to end as a whole are written as one (`batches`, `together`), and duplicates told at once (`duplicates`). Everything else
//! calls functions (`store`, `ending`, `wire`) over a connection that is shared (`connection`). `clock` is what is known of the
//! server's time, `fault` says what errors mean for a worker, `report` what the server says about itself.
//!
//! `target` says how servers are reached (`stream`, `tls`), `place` which of them a connection leads to (`sentinel`),
//! `node` is one server with its connections, `servers` all that there are, in a `cluster` each for its slots
//! (`redirect`). `library` sees to it that a server has the functions, `rights` that the user may do what the store needs.
//! `kept` are completions that wait for replicas.
//!
//! The least a server has to allow, when another user has loaded the functions:
//!
//! ```text
//! ACL SETUSER worker on >password resetkeys ~oncewise:* resetchannels nocommands
//!     +multi +exec +time +info +fcall +get +set +del +mget +getrange +setrange +pexpire +pttl +hgetall +hset +hsetnx +hdel
//! ```
//!
//! `~oncewise:*` is `dedupe.prefix`; besides, `+exists +asking +cluster|slots` on every node of a cluster, `+role` where
//! Sentinel names the primary, `+wait` with `redis.wait_replicas`; and, to load the functions,
//! `+function|list +function|load` (see [`RedisStore::load_functions`]).

mod batches;
mod claims;
mod clock;
mod cluster;
mod compact;
mod completions;
mod connection;
mod duplicates;
mod ending;
mod fault;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod kept;
mod library;
mod line;
mod lines;
mod node;
mod place;
mod record;
mod redirect;
mod report;
mod resp;
mod rights;
mod sentinel;
mod servers;
mod store;
mod stream;
mod suspects;
mod target;
mod tls;
mod together;
mod wire;

pub use library::FUNCTIONS;
pub use store::RedisStore;
