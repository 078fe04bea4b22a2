//! Where a log ends as the broker that records are fetched from has told last. That one may be behind the leader, or
//! have become the leader a moment ago. The Rust interface of the client library only asks the leader.
#![expect(unsafe_code, reason = "the safe interface asks the leader, which is not always who is read from")]

use std::ffi::CString;

use rdkafka::{ClientContext, bindings::rd_kafka_get_watermark_offsets, client::Client, error::IsError};

/// The offset after the last record; `None` before anything was fetched.
pub(super) fn seen_end<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive as long as it is borrowed, the name ends with a zero byte and is only read, and both
    // numbers are ours.
    let answer = unsafe {
        let client = client.native_ptr();
        rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high)
    };
    (!answer.is_error() && high >= 0).then_some(high)
}
