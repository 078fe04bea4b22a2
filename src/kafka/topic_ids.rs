//! The id that a topic gets when it is created: one that was deleted and created again has another, and its offsets
//! count anew. The Rust interface of the client library does not show it.
#![expect(unsafe_code, reason = "the safe interface does not show the ids of topics")]

use std::{
    ffi::{CStr, CString, c_int},
    ptr,
    time::Duration,
};

use rdkafka::{ClientContext, bindings as c, client::Client, error::IsError};

/// The topic's id in base 64. `None` where the broker does not tell within `patience`, or has no ids.
pub(super) fn topic_id<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    patience: Duration,
) -> Option<String> {
    let client = client.native_ptr();
    let name = CString::new(topic).ok()?;
    let mut names = [name.as_ptr()];
    let patience = c_int::try_from(patience.as_millis()).unwrap_or(c_int::MAX);
    // SAFETY: the client is alive as long as it is borrowed. The library copies the name. Queue, collection and
    // event are made here and given back here, each once; the answer belongs to the event and is read before that. An
    // answer that comes after the queue was given back is dropped by the library.
    unsafe {
        let queue = c::rd_kafka_queue_new(client);
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        c::rd_kafka_DescribeTopics(client, topics, ptr::null(), queue);
        c::rd_kafka_TopicCollection_destroy(topics);
        let event = c::rd_kafka_queue_poll(queue, patience);
        let id = if event.is_null() { None } else { read(event) };
        if !event.is_null() {
            c::rd_kafka_event_destroy(event);
        }
        c::rd_kafka_queue_destroy(queue);
        id
    }
}

/// # Safety
/// `event` must be valid.
unsafe fn read(event: *mut c::rd_kafka_event_t) -> Option<String> {
    // SAFETY: the event is valid as the caller promises, and everything read belongs to it. Null is looked for wherever
    // the library may answer so, and the text ends with a zero byte.
    unsafe {
        let result = c::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() || c::rd_kafka_event_error(event).is_error() {
            return None;
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return None;
        }
        let topic = *topics;
        let error = c::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && c::rd_kafka_error_code(error).is_error() {
            return None;
        }
        let id = c::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() || c::rd_kafka_Uuid_most_significant_bits(id) == 0 {
            return None;
        }
        let text = c::rd_kafka_Uuid_base64str(id);
        (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
    }
}
