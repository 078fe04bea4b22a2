//! The records of one partition in a queue of their own.

use std::{
    fmt,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::Thread,
};

use super::{
    group::GroupConsumer,
    native::NativeQueue,
    taken::{Said, Taken},
};
use crate::{
    Record,
    pipeline::{Bounds, Feed, Fetched},
};

/// The records of one partition that have been fetched. The first that comes wakes up who reads it.
pub(super) struct Queue {
    native: NativeQueue,
    /// Of this partition alone: to count who refers to it is a write, and every record does.
    topic: Arc<str>,
    reader: Thread,
    said: Mutex<Said>,
    /// The assignment in which it is read.
    pub(super) epoch: u64,
    _consumer: Arc<GroupConsumer>,
}

impl Queue {
    pub(super) fn of(
        consumer: &Arc<GroupConsumer>,
        (topic, partition): (&str, i32),
        epoch: u64,
        reader: &Thread,
    ) -> Option<Self> {
        Some(Self {
            native: NativeQueue::set_apart(consumer, topic, partition)?.wakes(reader),
            topic: topic.into(),
            reader: reader.clone(),
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
            let Some(event) = self.native.next() else { return };
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

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").finish_non_exhaustive()
    }
}
