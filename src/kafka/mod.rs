//! Everything that speaks to Kafka. No other folder names the client library.

mod client;
mod embedded;
mod fault;
pub(crate) mod headers;
pub(crate) mod topic_plan;
pub(crate) mod topics;
pub(crate) mod watcher;

pub use client::{KafkaClient, OWNED, is_sensitive};
pub use embedded::EmbeddedBroker;
pub use fault::{FaultKind, KafkaFault};
