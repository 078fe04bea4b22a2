//! Kafka events that take effect once.

pub mod store;
