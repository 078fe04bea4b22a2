//! Each partition's records in a queue of their own: one that is full is not read, and loses nothing by it. Pausing it
//! would throw away what was fetched, and fetch it again.
#![expect(
    unsafe_code,
    reason = "the safe interface sets queues apart too late, and looks at the clock twice for each record"
)]

use std::{
    collections::BTreeMap,
    ffi::{CStr, CString, c_void},
    fmt,
    mem::take,
    ptr::{self, NonNull},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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
    assignment::{Assignment, Name},
    group::GroupConsumer,
    headers::copied,
    taken::{Failed, Said, Taken},
};
use crate::{
    Record,
    pipeline::{Bounds, Feed, Fetched},
};

/// Sets the records of a partition apart from now on. To be called before it is assigned: a record that came by the
/// common queue could be overtaken by the next one, and would count as one that is not in the log.
pub(super) fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) {
    drop(Native::set_apart(consumer, topic, partition));
}

/// Our part of a queue of Kafka's client, which must not outlive that.
struct Native(NonNull<rd_kafka_queue_t>);

// SAFETY: the library lets any thread use a queue.
unsafe impl Send for Native {}
// SAFETY: and several at once.
unsafe impl Sync for Native {}

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
    reader: Arc<Thread>,
    said: Mutex<Said>,
    /// The assignment in which it is read.
    epoch: u64,
    _consumer: Arc<GroupConsumer>,
}

impl Queue {
    fn of(
        consumer: &Arc<GroupConsumer>,
        (topic, partition): (&str, i32),
        epoch: u64,
        reader: &Thread,
    ) -> Option<Self> {
        unsafe extern "C" fn wake(_: *mut rd_kafka_t, reader: *mut c_void) {
            // SAFETY: it lies there until the queue has been told to call nobody.
            unsafe { &*reader.cast::<Thread>() }.unpark();
        }
        let native = Native::set_apart(consumer, topic, partition)?;
        let reader = Arc::new(reader.clone());
        let lies = Arc::as_ptr(&reader).cast_mut().cast();
        // SAFETY: what lies there stays until this is dropped, which ends the calls.
        unsafe { rd_kafka_queue_cb_event_enable(native.0.as_ptr(), Some(wake), lies) };
        Some(Self {
            native,
            topic: topic.into(),
            reader,
            said: Mutex::default(),
            epoch,
            _consumer: Arc::clone(consumer),
        })
    }

    /// Hands over what was taken, and then keeps what came in the place of a record: who looks at that finds everything
    /// before it taken in.
    pub(super) fn deliver(&self, taken: Taken, to: &mut dyn FnMut(Vec<Arc<Record>>)) -> Fetched {
        let Taken { records, failed, .. } = taken;
        let flows = !records.is_empty();
        if flows {
            to(records);
        }
        if failed.is_some() {
            self.reader.unpark();
        }
        if flows || failed.is_some() {
            let mut said = self.lock();
            said.flows |= flows;
            said.failed = failed;
        }
        if flows { Fetched::Some } else { Fetched::Nothing }
    }

    /// What it has told, once.
    pub(super) fn said(&self) -> Said {
        take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is there, as far as there is room for it, up to the first error.
    ///
    /// One by one, as events. All at once would take fewer locks, but whatever Kafka's client hands over as a list counts
    /// as read up to there, an error, too: after the next rebalance the record that it was about is left out. With a call
    /// for each record, so do the ends of transactions, although what lies before them is outdated and is fetched again.
    pub(super) fn pull(&self, room: Bounds, taken: &mut Taken) {
        while !taken.is_full(room) {
            // SAFETY: the queue is ours.
            let event = unsafe { rd_kafka_queue_poll(self.native.0.as_ptr(), 0) };
            let Some(event) = NonNull::new(event).map(Event) else { return };
            event.add_to(taken, &self.topic);
        }
    }
}

impl Feed for Queue {
    fn take(&self, room: Bounds, to: &mut dyn FnMut(Vec<Arc<Record>>)) {
        // Nothing behind an error is taken before somebody has looked at it.
        if self.lock().failed.is_some() {
            return;
        }
        let mut taken = Taken::default();
        self.pull(room, &mut taken);
        self.deliver(taken, to);
    }
}

/// What has come: a record, or an error in its place.
struct Event(NonNull<rd_kafka_event_t>);

impl Event {
    fn add_to(&self, taken: &mut Taken, topic: &Arc<str>) {
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
pub(super) struct Queues(BTreeMap<Name, Arc<Queue>>);

impl Queues {
    /// Those of the partitions that are assigned now. A record in one that was empty wakes up the polling `thread`.
    pub(super) fn follow(&mut self, assignment: &Assignment, consumer: &Arc<GroupConsumer>, thread: &Thread) {
        let epoch_of = |name: &Name| assignment.running.get(name).map(|running| running.partition.epoch);
        // What it has told of an earlier assignment goes with it.
        self.0.retain(|name, queue| epoch_of(name) == Some(queue.epoch));
        for (name, running) in &assignment.running {
            if !self.0.contains_key(name)
                && let Some(queue) = Queue::of(consumer, (&name.0, name.1), running.partition.epoch, thread)
            {
                self.0.insert(name.clone(), Arc::new(queue));
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &Arc<Queue>)> {
        self.0.iter()
    }
}
