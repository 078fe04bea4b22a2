//! What is asked of Kafka's client by its C interface.
#![expect(
    unsafe_code,
    reason = "the safe interface sets queues apart too late, and looks at the clock twice for each record"
)]

use std::{
    ffi::{CStr, CString, c_void},
    ptr::{self, NonNull},
    sync::Arc,
    thread::Thread,
};

use rdkafka::{
    bindings::{
        RD_KAFKA_EVENT_ERROR, RD_KAFKA_EVENT_FETCH, rd_kafka_event_destroy, rd_kafka_event_error,
        rd_kafka_event_error_is_fatal, rd_kafka_event_error_string, rd_kafka_event_message_next,
        rd_kafka_event_t, rd_kafka_event_type, rd_kafka_queue_cb_event_enable, rd_kafka_queue_destroy,
        rd_kafka_queue_forward, rd_kafka_queue_get_partition, rd_kafka_queue_poll, rd_kafka_queue_t,
        rd_kafka_t,
    },
    consumer::Consumer,
};

use super::{
    group::GroupConsumer,
    headers::copied,
    taken::{Failed, Taken},
};

/// Our part of a queue of Kafka's client, which must not outlive that.
pub(super) struct NativeQueue {
    queue: NonNull<rd_kafka_queue_t>,
    /// Who is woken up. Kafka's client knows where this lies.
    reader: Option<Arc<Thread>>,
}

// SAFETY: the library lets any thread use a queue.
unsafe impl Send for NativeQueue {}
// SAFETY: and several at once.
unsafe impl Sync for NativeQueue {}

impl NativeQueue {
    /// Sets the records of a partition apart from now on.
    pub(super) fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) -> Option<Self> {
        // Kafka's client has no topic with a zero byte in its name.
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive as long as `consumer` is borrowed, and the library copies the name.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition)
        };
        let queue = Self { queue: NonNull::new(queue)?, reader: None };
        // SAFETY: our part of it is there. A queue that is forwarded nowhere keeps its records until somebody reads it.
        unsafe { rd_kafka_queue_forward(queue.queue.as_ptr(), ptr::null_mut()) };
        Some(queue)
    }

    /// Has this thread woken up by the first that comes into the queue while it is empty.
    pub(super) fn wakes(mut self, reader: &Thread) -> Self {
        unsafe extern "C" fn wake(_: *mut rd_kafka_t, reader: *mut c_void) {
            // SAFETY: it lies there until the queue has been told to call nobody.
            unsafe { &*reader.cast::<Thread>() }.unpark();
        }
        let reader = Arc::new(reader.clone());
        let lies = Arc::as_ptr(&reader).cast_mut().cast();
        // SAFETY: what lies there stays until this is dropped, which ends the calls.
        unsafe { rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), Some(wake), lies) };
        self.reader = Some(reader);
        self
    }

    /// What came first, if anything is there.
    pub(super) fn next(&self) -> Option<Event> {
        // SAFETY: the queue is ours.
        let event = unsafe { rd_kafka_queue_poll(self.queue.as_ptr(), 0) };
        NonNull::new(event).map(Event)
    }
}

impl Drop for NativeQueue {
    fn drop(&mut self) {
        // SAFETY: our part of it is there until it is given back here, once, while its client is alive.
        unsafe {
            if self.reader.is_some() {
                rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, ptr::null_mut());
            }
            rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}

/// What has come: a record, or an error in its place.
pub(super) struct Event(NonNull<rd_kafka_event_t>);

impl Event {
    pub(super) fn add_to(&self, taken: &mut Taken, topic: &Arc<str>) {
        let event = self.0.as_ptr();
        // SAFETY: the event is ours until it is dropped, with the message in it and the text of its error, and no other
        // thread has it.
        unsafe {
            match rd_kafka_event_type(event) {
                RD_KAFKA_EVENT_FETCH => {
                    let message = rd_kafka_event_message_next(event);
                    if !message.is_null() {
                        taken.add(copied(message, topic));
                    }
                }
                RD_KAFKA_EVENT_ERROR => taken.fail(Failed {
                    code: rd_kafka_event_error(event).into(),
                    is_fatal: rd_kafka_event_error_is_fatal(event) != 0,
                    reason: CStr::from_ptr(rd_kafka_event_error_string(event))
                        .to_string_lossy()
                        .trim()
                        .to_owned(),
                }),
                other => tracing::warn!(event = other, "Kafka's client puts this into no partition's queue"),
            }
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: it is ours, and given back once.
        unsafe { rd_kafka_event_destroy(self.0.as_ptr()) };
    }
}
