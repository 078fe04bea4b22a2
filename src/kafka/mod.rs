//! Everything that speaks to Kafka. No other folder names the client library.

mod assignment;
mod client;
mod commits;
mod committing;
mod consumer;
mod embedded;
mod fault;
mod group;
mod group_offsets;
pub(crate) mod headers;
mod log_answers;
mod log_reader;
#[cfg(test)]
mod log_reader_tests;
mod names;
mod native;
mod notes;
mod positions;
mod producer;
mod publish;
mod queue;
mod queues;
mod seen;
mod seen_end;
mod stall;
mod start;
mod stretch;
mod subscription;
mod tail;
mod taken;
mod topic_ids;
mod topic_plan;
mod topics;
mod transactions;
mod upkeep;
mod waiting;
pub(crate) mod watcher;

pub(crate) use consumer::{Ended, Poller};
pub(crate) use group::Group;
pub(crate) use group_offsets::{GroupOffset, GroupOffsets};
pub(crate) use log_reader::{LogReader, Read};
pub(crate) use names::topic_names;
pub(crate) use positions::Positions;
pub(crate) use producer::RecordProducer;
pub(crate) use publish::{Outflow, produce_all};
pub(crate) use seen::{Assigned, Seen};
pub(crate) use stretch::Stretch;
pub(crate) use tail::Tail;
pub(crate) use transactions::{TransactionError, Transactions};
pub(crate) use watcher::Watcher;

pub use client::{KafkaClient, OWNED, is_sensitive};
pub use embedded::EmbeddedBroker;
pub use fault::{FaultKind, KafkaFault};
pub use topic_plan::{Flaw, HEADROOM, Kept, TopicConfig, TopicInfo, TopicPlan};
pub use topics::{Cluster, Ensured, TopicAdmin};
