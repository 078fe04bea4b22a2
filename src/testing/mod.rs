//! For the tests of handlers.

mod broker;
mod context;
mod fate;
mod fault;
mod handler;
mod harness;
mod idempotence;
mod passage;
mod process;
mod producer;
mod record;
mod store;
mod subject;
mod verdict;
mod world;
mod written;

pub use crate::pipeline::{How, dead_letter::Disposition};
pub use context::{context, published};
pub use fault::{Fault, Moment};
pub use harness::Harness;
pub use idempotence::check_idempotent;
pub use record::TestRecord;
pub use subject::Subject;
pub use verdict::NotIdempotent;
pub use written::{Letter, Published};

#[cfg(test)]
mod tests;
