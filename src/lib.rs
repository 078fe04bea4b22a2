//! Kafka events that take effect once.

pub mod redis;
pub mod store;
