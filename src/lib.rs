//! Kafka events that take effect once.
