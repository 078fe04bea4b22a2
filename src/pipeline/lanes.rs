//! Who waits for whom: records of one lane run in order and one at a time, lanes run side by side.

use std::{
    collections::{HashMap, VecDeque},
    mem::take,
    sync::Arc,
};

use bytes::Bytes;

use crate::{Record, config::Ordering, telemetry::metrics::InFlight};

/// The waiting records of one partition.
#[derive(Debug)]
pub(crate) struct Lanes {
    ordering: Ordering,
    /// By lane, for as long as records wait in it or one of them is at work. A record that waits for nobody has none.
    waiting: HashMap<Lane, VecDeque<Delivered>>,
    /// Whose turn it is: lanes in which records wait and none is at work.
    ready: VecDeque<Ready>,
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
    /// A record that waits for nobody, nor anybody for it.
    Alone,
    /// The whole partition.
    Partition,
}

#[derive(Debug)]
enum Ready {
    Lane(Lane),
    Alone(Delivered),
}

/// Records of one lane, the first ones that wait, in order.
pub(crate) type Turn = (Lane, VecDeque<Delivered>);

impl Lanes {
    pub(crate) fn new(ordering: Ordering) -> Self {
        Self { ordering, waiting: HashMap::new(), ready: VecDeque::new() }
    }

    /// Puts a record at the end of its lane.
    pub(crate) fn push(&mut self, delivered: Delivered) {
        let lane = match (self.ordering, &delivered.record.key) {
            (Ordering::Partition, _) => Lane::Partition,
            (Ordering::Key, Some(key)) => Lane::Key(key.clone()),
            (Ordering::Key | Ordering::None, _) => return self.ready.push_back(Ready::Alone(delivered)),
        };
        if let Some(queue) = self.waiting.get_mut(&lane) {
            return queue.push_back(delivered);
        }
        self.ready.push_back(Ready::Lane(lane.clone()));
        self.waiting.insert(lane, VecDeque::from([delivered]));
    }

    /// Whether a lane waits for its turn.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Gives up to `most` records their turn, of one lane no more than `of_one`. Their lanes are at work until
    /// [`done`](Self::done) is called for each.
    pub(crate) fn take(&mut self, most: usize, of_one: usize) -> Vec<Turn> {
        let mut runs = Vec::with_capacity(most.min(self.ready.len()));
        let mut left = most;
        while left > 0
            && let Some(ready) = self.ready.pop_front()
        {
            let run = match ready {
                Ready::Alone(delivered) => (Lane::Alone, VecDeque::from([delivered])),
                Ready::Lane(lane) => {
                    let Some(queue) = self.waiting.get_mut(&lane) else { continue };
                    let some = queue.len().min(of_one).min(left);
                    let records =
                        if some == queue.len() { take(queue) } else { queue.drain(..some).collect() };
                    (lane, records)
                }
            };
            left -= run.1.len();
            runs.push(run);
        }
        runs
    }

    /// Nobody works on this lane any more. What is given back is its beginning again.
    pub(crate) fn done(&mut self, lane: Lane, back: VecDeque<Delivered>) {
        if lane == Lane::Alone {
            return self.ready.extend(back.into_iter().map(Ready::Alone));
        }
        let Some(queue) = self.waiting.get_mut(&lane) else { return };
        back.into_iter().rev().for_each(|delivered| queue.push_front(delivered));
        if queue.is_empty() {
            self.waiting.remove(&lane);
        } else {
            self.ready.push_back(Ready::Lane(lane));
        }
    }

    /// Gives records back to a lane that is still at work.
    pub(crate) fn give_back(&mut self, lane: &Lane, back: VecDeque<Delivered>) {
        if let Some(queue) = self.waiting.get_mut(lane) {
            back.into_iter().rev().for_each(|delivered| queue.push_front(delivered));
        }
    }

    /// Forgets everything that waits.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.ready.clear();
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

    fn lanes(ordering: Ordering, keys: &[Option<&'static str>]) -> Lanes {
        let mut lanes = Lanes::new(ordering);
        (0..).zip(keys).for_each(|(offset, key)| lanes.push(record(offset, *key)));
        lanes
    }

    fn taken(lanes: &mut Lanes, most: usize, of_one: usize) -> Vec<(Lane, Vec<i64>)> {
        let turns = lanes.take(most, of_one).into_iter();
        turns.map(|(lane, records)| (lane, offsets(&records))).collect()
    }

    fn offsets(records: &VecDeque<Delivered>) -> Vec<i64> {
        records.iter().map(|delivered| delivered.record.offset).collect()
    }

    fn key(key: &'static str) -> Lane {
        Lane::Key(key.into())
    }

    const KEYS: [Option<&str>; 5] = [Some("a"), Some("a"), Some("b"), None, None];

    #[test]
    fn one_lane_per_key_and_one_per_record_without_key() {
        let mut lanes = lanes(Ordering::Key, &KEYS);
        let alone = |offset| (Lane::Alone, vec![offset]);
        assert_eq!(taken(&mut lanes, 9, 1), [(key("a"), vec![0]), (key("b"), vec![2]), alone(3), alone(4)]);
        assert!(!lanes.is_ready(), "a is at work");
    }

    #[test]
    fn the_partition_may_be_one_lane_and_every_record_its_own() {
        assert_eq!(taken(&mut lanes(Ordering::Partition, &KEYS), 9, 1), [(Lane::Partition, vec![0])]);
        assert_eq!(taken(&mut lanes(Ordering::None, &KEYS), 9, 1).len(), 5);
    }

    #[test]
    fn no_more_are_taken_than_may_be_and_lanes_go_round() {
        let mut lanes = lanes(Ordering::Key, &[Some("a"), Some("a"), Some("a"), Some("b"), Some("b")]);
        assert_eq!(taken(&mut lanes, 3, 2), [(key("a"), vec![0, 1]), (key("b"), vec![3])]);
        assert!(!lanes.is_ready(), "both are at work");
        lanes.done(key("b"), VecDeque::new());
        lanes.done(key("a"), VecDeque::new());
        assert_eq!(taken(&mut lanes, 9, 9), [(key("b"), vec![4]), (key("a"), vec![2])]);
    }

    #[test]
    fn what_comes_back_is_the_beginning_of_its_lane_again() {
        let mut lanes = lanes(Ordering::Key, &[Some("a"), Some("a"), Some("a"), None]);
        let mut turns = lanes.take(9, 2);
        let (lane, mut records) = turns.remove(0);
        let second = records.split_off(1);
        // The first is still at work when the second comes back.
        lanes.give_back(&lane, second);
        let (alone, record) = turns.remove(0);
        lanes.done(alone, record);
        assert_eq!(taken(&mut lanes, 9, 9), [(Lane::Alone, vec![3])]);
        lanes.done(lane, records);
        assert_eq!(taken(&mut lanes, 9, 9), [(key("a"), vec![0, 1, 2])]);
    }

    #[test]
    fn a_lane_opens_again_after_it_was_empty() {
        let mut lanes = lanes(Ordering::Key, &[Some("a")]);
        taken(&mut lanes, 9, 9);
        lanes.done(key("a"), VecDeque::new());
        assert!(lanes.waiting.is_empty() && !lanes.is_ready());
        lanes.push(record(1, Some("a")));
        assert_eq!(taken(&mut lanes, 9, 9), [(key("a"), vec![1])]);
    }
}
