//! Who waits for whom: records of one lane run in order and one at a time, lanes run side by side.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use crate::{Record, config::Ordering, telemetry::metrics::InFlight};

/// The waiting records of one partition.
#[derive(Debug)]
pub(crate) struct Lanes {
    ordering: Ordering,
    waiting: HashMap<Lane, VecDeque<Delivered>>,
}

/// A record on its way; it counts as in flight as long as this lives.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) record: Arc<Record>,
    pub(crate) in_flight: InFlight,
}

/// Names a lane of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Records with this key.
    Key(Bytes),
    /// A record that waits for nobody.
    Alone(i64),
    /// The whole partition.
    Partition,
}

impl Lanes {
    pub(crate) fn new(ordering: Ordering) -> Self {
        Self { ordering, waiting: HashMap::new() }
    }

    /// Puts a record at the end of its lane. Answers the lane if nobody works on it yet: then the caller must,
    /// until [`next`](Self::next) answers `None`.
    pub(crate) fn push(&mut self, delivered: Delivered) -> Option<Lane> {
        let record = &delivered.record;
        let lane = match (self.ordering, &record.key) {
            (Ordering::Partition, _) => Lane::Partition,
            (Ordering::Key, Some(key)) => Lane::Key(key.clone()),
            (Ordering::Key | Ordering::None, _) => Lane::Alone(record.offset),
        };
        match self.waiting.get_mut(&lane) {
            Some(queue) => {
                queue.push_back(delivered);
                None
            }
            None => {
                self.waiting.insert(lane.clone(), VecDeque::from([delivered]));
                Some(lane)
            }
        }
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// The lane's next record, or `None` when the lane is empty, and then it is closed.
    pub(crate) fn next(&mut self, lane: &Lane) -> Option<Delivered> {
        let delivered = self.waiting.get_mut(lane)?.pop_front();
        if delivered.is_none() {
            self.waiting.remove(lane);
        }
        delivered
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Metrics;

    fn record(offset: i64, key: Option<&'static str>) -> Delivered {
        let record = Arc::new(Record {
            topic: "orders".into(),
            partition: 0,
            offset,
            timestamp: None,
            key: key.map(Bytes::from),
            value: None,
            headers: Vec::new(),
        });
        Delivered { record, in_flight: Metrics::new().service("test").in_flight(1) }
    }

    /// Pushes a, a, b, keyless, keyless and answers which of them opened a lane.
    fn opened(ordering: Ordering) -> Vec<bool> {
        let mut lanes = Lanes::new(ordering);
        let keys = [Some("a"), Some("a"), Some("b"), None, None];
        (0..).zip(keys).map(|(offset, key)| lanes.push(record(offset, key)).is_some()).collect()
    }

    #[test]
    fn one_lane_per_key_and_one_per_record_without_key() {
        assert_eq!(opened(Ordering::Key), [true, false, true, true, true]);
    }

    #[test]
    fn the_partition_may_be_one_lane_and_every_record_its_own() {
        assert_eq!(opened(Ordering::Partition), [true, false, false, false, false]);
        assert_eq!(opened(Ordering::None), [true; 5]);
    }

    #[test]
    fn a_lane_is_in_order_and_opens_again_after_it_was_empty() {
        let mut lanes = Lanes::new(Ordering::Key);
        let lane = lanes.push(record(0, Some("a"))).unwrap();
        lanes.push(record(1, Some("a")));
        let next = |lanes: &mut Lanes| lanes.next(&lane).map(|delivered| delivered.record.offset);
        assert_eq!([next(&mut lanes), next(&mut lanes), next(&mut lanes)], [Some(0), Some(1), None]);
        assert_eq!(lanes.push(record(2, Some("a"))), Some(lane));
    }
}
