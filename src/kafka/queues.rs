//! Each partition's records in a queue of their own: one that is full is not read, and loses nothing by it. Pausing it
//! would throw away what was fetched, and fetch it again.
#![expect(
    unsafe_code,
    reason = "the safe interface sets queues apart for owners of the consumer only, too late"
)]

use std::{collections::BTreeMap, ffi::CString, ptr, sync::Arc, thread::Thread};

use rdkafka::{
    bindings::{rd_kafka_queue_destroy, rd_kafka_queue_forward, rd_kafka_queue_get_partition},
    consumer::{Consumer, base_consumer::PartitionQueue},
};

use super::{
    assignment::{Assignment, Name},
    group::{Group, GroupConsumer},
};

/// Sets the records of a partition apart from now on. To be called before it is assigned: a record that came by the
/// common queue could be overtaken by the next one, and would count as one that is not in the log.
pub(super) fn set_apart(consumer: &GroupConsumer, topic: &str, partition: i32) {
    // Kafka's client has no topic with a zero byte in its name.
    let Ok(topic) = CString::new(topic) else { return };
    // SAFETY: the client is alive as long as `consumer` is borrowed, the library copies the name, and the queue is
    // given back once. A queue that is forwarded nowhere keeps its records until somebody reads it.
    unsafe {
        let queue = rd_kafka_queue_get_partition(consumer.client().native_ptr(), topic.as_ptr(), partition);
        if !queue.is_null() {
            rd_kafka_queue_forward(queue, ptr::null_mut());
            rd_kafka_queue_destroy(queue);
        }
    }
}

/// The queues of the partitions that are at work.
#[derive(Default)]
pub(super) struct Queues(BTreeMap<Name, PartitionQueue<Group>>);

impl Queues {
    /// Those of the partitions that are assigned now. A record in one that was empty wakes up the polling `thread`.
    pub(super) fn follow(&mut self, assignment: &Assignment, consumer: &Arc<GroupConsumer>, thread: &Thread) {
        self.0.retain(|name, _| assignment.running.contains_key(name));
        for name in assignment.running.keys().filter(|name| !self.0.contains_key(*name)).collect::<Vec<_>>() {
            if let Some(mut queue) = consumer.split_partition_queue(&name.0, name.1) {
                let thread = thread.clone();
                queue.set_nonempty_callback(move || thread.unpark());
                self.0.insert(name.clone(), queue);
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Name, &PartitionQueue<Group>)> {
        self.0.iter()
    }
}
