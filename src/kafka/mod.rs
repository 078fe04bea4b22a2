//! Everything that speaks to Kafka. No other folder names the client library.

mod client;
mod embedded;
mod fault;
pub(crate) mod headers;
mod topic_plan;
mod topics;
pub(crate) mod watcher;

pub use client::{KafkaClient, OWNED, is_sensitive};
pub use embedded::EmbeddedBroker;
pub use fault::{FaultKind, KafkaFault};
pub use topic_plan::{Flaw, HEADROOM, Kept, TopicConfig, TopicInfo, TopicPlan, dead_letter_topic};
pub use topics::{Cluster, Ensured, TopicAdmin};
