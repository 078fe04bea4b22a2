//! Each partition's records in a queue of their own: one that is full is not read, and loses nothing by it. Pausing it
//! would throw away what was fetched, and fetch it again.
#![expect(
    unsafe_code,
    reason = "the safe interface sets queues apart too late, and hands records over one by one, each with a look at the clock"
)]

use std::{
    collections::BTreeMap,
    ffi::{CString, c_void},
    fmt,
    ptr::{self, NonNull},
    sync::Arc,
    thread::Thread,
};

use rdkafka::{
    bindings::{
        rd_kafka_consume_callback_queue, rd_kafka_message_t, rd_kafka_queue_cb_event_enable,
        rd_kafka_queue_destroy, rd_kafka_queue_forward, rd_kafka_queue_get_partition, rd_kafka_queue_t,
        rd_kafka_t, rd_kafka_yield,
    },
    consumer::Consumer,
    error::IsError,
};

use super::{
    assignment::{Assignment, Name},
    group::GroupConsumer,
    headers::{copied, payload},
    taken::Taken,
};
use crate::pipeline::Bounds;

/// Sets the records of a partition apart from now on. To be called before it is assigned: a record that came by the
/// common queue could be overtaken by the next one, and would count as one that is not in the log.
pub(super) fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) {
    drop(Native::set_apart(consumer, topic, partition));
}

/// Our part of a queue of Kafka's client, which must not outlive that.
struct Native(NonNull<rd_kafka_queue_t>);

// SAFETY: the library lets any thread use a queue.
unsafe impl Send for Native {}

impl Native {
    fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) -> Option<Self> {
        // Kafka's client has no topic with a zero byte in its name.
        let topic = CString::new(topic).ok()?;
        // SAFETY: the client is alive as long as `consumer` is borrowed, and the library copies the name.
        let queue = unsafe {
            rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition)
        };
        let queue = Self(NonNull::new(queue)?);
        // SAFETY: our part of it is there. A queue that is forwarded nowhere keeps its records until somebody reads it.
        unsafe { rd_kafka_queue_forward(queue.0.as_ptr(), ptr::null_mut()) };
        Some(queue)
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        // SAFETY: it is given back once, while its client is alive.
        unsafe { rd_kafka_queue_destroy(self.0.as_ptr()) };
    }
}

/// The records of one partition that have been fetched. The first that comes wakes up who reads it.
pub(super) struct Queue {
    native: Native,
    /// Of this partition alone: to count who refers to it is a write, and every record does.
    topic: Arc<str>,
    /// Kafka's client knows where this lies.
    _reader: Arc<Thread>,
    consumer: Arc<GroupConsumer>,
}

impl Queue {
    fn of(consumer: &Arc<GroupConsumer>, topic: &str, partition: i32, reader: &Thread) -> Option<Self> {
        unsafe extern "C" fn wake(_: *mut rd_kafka_t, reader: *mut c_void) {
            // SAFETY: it lies there until the queue has been told to call nobody.
            unsafe { &*reader.cast::<Thread>() }.unpark();
        }
        let native = Native::set_apart(consumer, topic, partition)?;
        let reader = Arc::new(reader.clone());
        let lies = Arc::as_ptr(&reader).cast_mut().cast();
        // SAFETY: what lies there stays until this is dropped, which ends the calls.
        unsafe { rd_kafka_queue_cb_event_enable(native.0.as_ptr(), Some(wake), lies) };
        Some(Self { native, topic: topic.into(), _reader: reader, consumer: Arc::clone(consumer) })
    }

    /// Takes what is there, as far as there is room for it, up to the first error.
    ///
    /// By a call for each record, not as a list: with a list, Kafka's client reads on behind an error's offset after the
    /// next rebalance, and the record that it was about is lost.
    pub(super) fn take(&self, room: Bounds, taken: &mut Taken) {
        if taken.is_full(room) {
            return;
        }
        let mut reading =
            Reading { client: self.consumer.client().native_ptr(), topic: &self.topic, room, taken };
        // SAFETY: the queue is ours, and `reading` outlives the call, which makes all of its calls on this thread.
        unsafe {
            rd_kafka_consume_callback_queue(self.native.0.as_ptr(), 0, Some(came), (&raw mut reading).cast());
        }
    }
}

/// What the calls of one reading have in common.
struct Reading<'a> {
    client: *mut rd_kafka_t,
    topic: &'a Arc<str>,
    room: Bounds,
    taken: &'a mut Taken,
}

/// Takes in one record, or what has come in its place. Nothing in here panics: that would end the process.
unsafe extern "C" fn came(message: *mut rd_kafka_message_t, reading: *mut c_void) {
    // SAFETY: it is what `take` has handed over, and nobody else uses it meanwhile.
    let reading = unsafe { &mut *reading.cast::<Reading<'_>>() };
    // SAFETY: the message is the library's until this returns, and no other thread has it.
    let error = unsafe { (*message).err };
    if error.is_error() {
        // SAFETY: as above; of an error the value is its text.
        let text = unsafe { payload(message) };
        reading.taken.fail(error.into(), String::from_utf8_lossy(text.unwrap_or_default()).into_owned());
    } else {
        // SAFETY: as above, and it has no error.
        reading.taken.add(unsafe { copied(message, reading.topic) });
    }
    if reading.taken.is_full(reading.room) {
        // SAFETY: the client is alive. What it has not handed over yet goes back to its queue.
        unsafe { rd_kafka_yield(reading.client) };
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: our part of the queue is there until after this.
        unsafe { rd_kafka_queue_cb_event_enable(self.native.0.as_ptr(), None, ptr::null_mut()) };
    }
}

/// The queues of the partitions that are at work.
#[derive(Default)]
pub(super) struct Queues(BTreeMap<Name, Queue>);

impl Queues {
    /// Those of the partitions that are assigned now. A record in one that was empty wakes up the polling `thread`.
    pub(super) fn follow(&mut self, assignment: &Assignment, consumer: &Arc<GroupConsumer>, thread: &Thread) {
        self.0.retain(|name, _| assignment.running.contains_key(name));
        for name in assignment.running.keys().filter(|name| !self.0.contains_key(*name)).collect::<Vec<_>>() {
            if let Some(queue) = Queue::of(consumer, &name.0, name.1, thread) {
                self.0.insert(name.clone(), queue);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Queue)> {
        self.0.iter()
    }
}
