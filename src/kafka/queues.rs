//! Each partition's records in a queue of their own: one that is full is not read, and loses nothing by it. Pausing it
//! would throw away what was fetched, and fetch it again.

use std::{collections::BTreeMap, sync::Arc, thread::Thread};

use super::{
    assignment::{Assignment, Name},
    group::GroupConsumer,
    native::NativeQueue,
    queue::Queue,
};

/// Sets the records of a partition apart from now on. To be called before it is assigned: a record that came by the
/// common queue could be overtaken by the next one, and would count as one that is not in the log.
pub(super) fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) {
    drop(NativeQueue::set_apart(consumer, topic, partition));
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
