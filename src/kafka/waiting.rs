//! The next record of each partition whose records wait: it is read, and nothing behind it, until it is due. Records of
//! such a topic wait equally long, so what is behind it is due later.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{consumer::Consumer, error::KafkaResult};

use super::{
    assignment::{Assignment, Name, list},
    group::GroupConsumer,
    queue::Queue,
    taken::Taken,
};
use crate::{
    Record,
    pipeline::{Bounds, Fetched, Partition, now_ms},
};

/// One record, however large.
const ONE: Bounds = Bounds { records: 1, bytes: usize::MAX };

/// What waits longer than this is not fetched ahead meanwhile.
const PAUSE: Duration = Duration::from_secs(3);
/// So long before it is due, what comes behind it is fetched again.
const AHEAD: Duration = Duration::from_millis(500);

/// The records that are next, and not due yet.
#[derive(Debug, Default)]
pub(super) struct Waiting(BTreeMap<Name, Head>);

#[derive(Debug)]
struct Head {
    /// The assignment in which it was read.
    epoch: u64,
    record: Record,
    due_ms: i64,
    is_paused: bool,
}

impl Waiting {
    /// Has the partition take in what is due: one by one, for nothing behind one that waits is to be read.
    pub(super) fn fetch(
        &mut self,
        name: &Name,
        partition: &Arc<Partition>,
        queue: &Queue,
        delay: Duration,
        share: Bounds,
    ) -> Fetched {
        let room = match partition.may_take(share) {
            Ok(room) => room,
            Err(nothing) => return nothing,
        };
        let (due, waits) = self.take(name, partition.epoch);
        let mut taken = Taken::default();
        due.into_iter().for_each(|due| taken.add(due));
        while !waits && !taken.is_full(room) {
            let mut next = Taken::default();
            queue.pull(ONE, &mut next);
            taken.failed = next.failed;
            let Some(record) = next.records.pop().map(Arc::unwrap_or_clone) else { break };
            let Some(due) = self.keep(name, partition.epoch, record, delay) else { break };
            taken.add(due);
        }
        queue.deliver(taken, &mut |records| partition.take(records))
    }

    /// Keeps the record, which was read in assignment `epoch`, until it has waited for `delay` since it was written;
    /// gives it back where it has.
    pub(super) fn keep(
        &mut self,
        name: &Name,
        epoch: u64,
        record: Record,
        delay: Duration,
    ) -> Option<Record> {
        let (now_ms, delay_ms) = (now_ms(), i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        // It was written before it was read, whatever the clock of its writer says.
        let written_ms = record.timestamp.unwrap_or(now_ms).min(now_ms);
        let due_ms = written_ms.saturating_add(delay_ms);
        if due_ms <= now_ms {
            return Some(record);
        }
        self.0.insert(name.clone(), Head { epoch, record, due_ms, is_paused: false });
        None
    }

    /// The record of this partition if it is due by now. The second is whether one still waits.
    pub(super) fn take(&mut self, name: &Name, epoch: u64) -> (Option<Record>, bool) {
        match self.0.get(name) {
            None => (None, false),
            // One that is due while nothing is fetched behind it waits until that was put right.
            Some(head) if head.epoch == epoch && (head.is_paused || head.due_ms > now_ms()) => (None, true),
            Some(_) => {
                let head = self.0.remove(name);
                // What an earlier assignment has read is read again.
                (head.filter(|head| head.epoch == epoch).map(|head| head.record), false)
            }
        }
    }

    /// Forgets what is not assigned any more, has nothing fetched behind what waits for long, and tells of each partition
    /// whether it waits.
    pub(super) fn follow(
        &mut self,
        assignment: &mut Assignment,
        consumer: &GroupConsumer,
    ) -> KafkaResult<()> {
        let is_here = |name: &Name, head: &Head| {
            assignment.running.get(name).is_some_and(|running| running.partition.epoch == head.epoch)
        };
        self.0.retain(|name, head| is_here(name, head));
        for (name, running) in &mut assignment.running {
            running.waits = self.0.contains_key(name);
        }
        for (name, head) in &mut self.0 {
            let left = Duration::from_millis(u64::try_from(head.due_ms - now_ms()).unwrap_or(0));
            let partition = || list([(&*name.0, name.1)]);
            if !head.is_paused && left > PAUSE {
                consumer.pause(&partition())?;
                head.is_paused = true;
            } else if head.is_paused && left <= AHEAD {
                consumer.resume(&partition())?;
                head.is_paused = false;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(timestamp: i64) -> Record {
        Record { timestamp: Some(timestamp), ..crate::testing::record() }
    }

    #[test]
    fn what_is_next_waits_for_the_delay_of_its_topic_and_for_no_more() {
        let (name, delay) = (("later".into(), 0), Duration::from_secs(3_600));
        let mut waiting = Waiting::default();
        assert!(waiting.keep(&name, 1, record(now_ms() - 3_600_000), delay).is_some(), "it is due");
        assert!(waiting.keep(&name, 1, record(now_ms() - 3_500_000), delay).is_none());
        assert_eq!(waiting.take(&name, 1), (None, true));
        // By the clock of its writer it would wait for years.
        assert!(waiting.keep(&name, 1, record(i64::MAX), delay).is_none());
        assert!(waiting.0[&name].due_ms <= now_ms() + 3_600_000);
        assert_eq!(waiting.take(&name, 2), (None, false), "it belongs to an assignment that is over");
        assert!(waiting.0.is_empty());
        let soon = record(now_ms() - 3_600_000 + 20);
        assert!(waiting.keep(&name, 1, soon.clone(), delay).is_none());
        while now_ms() < waiting.0[&name].due_ms {
            std::thread::yield_now();
        }
        waiting.0.get_mut(&name).unwrap().is_paused = true;
        assert_eq!(waiting.take(&name, 1), (None, true), "nobody would fetch again behind it");
        waiting.0.get_mut(&name).unwrap().is_paused = false;
        assert_eq!(waiting.take(&name, 1), (Some(soon), false));
    }
}
