//! The ground that the other tests stand on: does what they use to look and to break things do so?

mod kafka;
mod kafka_server;
mod process;
mod proxy;
mod redis;
