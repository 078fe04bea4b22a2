//! Who waits for whom: records of one lane run in order and one at a time, lanes run side by side.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::BuildHasher,
    mem::take,
    sync::Arc,
};

use foldhash::{fast, quality};

use crate::{Record, config::Ordering};

/// The waiting records of one partition.
#[derive(Debug)]
pub(crate) struct Lanes {
    ordering: Ordering,
    /// What waits in each lane behind the record whose turn it is, or which is at work; by the hash of the records' key. Two
    /// keys of one hash share a lane, which costs them nothing but time.
    waiting: HashMap<u64, VecDeque<Delivered>, fast::RandomState>,
    hasher: quality::RandomState,
    /// Whose turn it is.
    ready: VecDeque<(Lane, Delivered)>,
}

/// A record on its way.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) record: Arc<Record>,
    /// In bytes.
    pub(crate) weight: usize,
}

/// Names a lane of a partition by the hash of its key; `None` is that of a record that waits for nobody, nor anybody for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane(Option<u64>);

/// A lane's first records, in order.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) lane: Lane,
    pub(crate) first: Delivered,
    pub(crate) more: VecDeque<Delivered>,
}

impl Lanes {
    pub(crate) fn new(ordering: Ordering) -> Self {
        Self {
            ordering,
            waiting: HashMap::default(),
            hasher: quality::RandomState::default(),
            ready: VecDeque::new(),
        }
    }

    /// Puts a record at the end of its lane.
    pub(crate) fn push(&mut self, delivered: Delivered) {
        let key: &[u8] = match (self.ordering, &delivered.record.key) {
            // The whole partition is one lane.
            (Ordering::Partition, _) => &[],
            (Ordering::Key, Some(key)) => key,
            (Ordering::Key | Ordering::None, _) => return self.ready.push_back((Lane(None), delivered)),
        };
        let key = self.hasher.hash_one(key);
        match self.waiting.entry(key) {
            Entry::Occupied(mut waiting) => waiting.get_mut().push_back(delivered),
            Entry::Vacant(place) => {
                place.insert(VecDeque::new());
                self.ready.push_back((Lane(Some(key)), delivered));
            }
        }
    }

    /// Whether a lane waits for its turn.
    pub(crate) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// How many lanes wait for their turn.
    pub(crate) fn ready(&self) -> usize {
        self.ready.len()
    }

    /// Gives up to `most` records their turn, of one lane no more than `of_one`. Their lanes are at work until
    /// [`done`](Self::done) is called for each.
    pub(crate) fn take(&mut self, most: usize, of_one: usize) -> Vec<Turn> {
        let mut turns = Vec::with_capacity(most.min(self.ready.len()));
        let mut left = most;
        while left > 0
            && let Some((lane, first)) = self.ready.pop_front()
        {
            left -= 1;
            let more = match lane.0.and_then(|key| self.waiting.get_mut(&key)) {
                Some(records) if records.len() < of_one && records.len() <= left => take(records),
                Some(records) => records.drain(..left.min(of_one - 1)).collect(),
                None => VecDeque::new(),
            };
            left -= more.len();
            turns.push(Turn { lane, first, more });
        }
        turns
    }

    /// Nobody works on this lane any more. What is given back is its beginning again.
    pub(crate) fn done(&mut self, lane: Lane, back: VecDeque<Delivered>) {
        let Some(key) = lane.0 else {
            return self.ready.extend(back.into_iter().map(|delivered| (lane, delivered)));
        };
        let Entry::Occupied(mut waiting) = self.waiting.entry(key) else { return };
        put_back(waiting.get_mut(), back);
        match waiting.get_mut().pop_front() {
            Some(first) => self.ready.push_back((lane, first)),
            None => drop(waiting.remove()),
        }
    }

    /// Gives records back to a lane that is still at work.
    pub(crate) fn give_back(&mut self, lane: Lane, back: VecDeque<Delivered>) {
        if let Some(records) = lane.0.and_then(|key| self.waiting.get_mut(&key)) {
            put_back(records, back);
        }
    }

    /// Forgets everything that waits; how many records, and how many bytes.
    pub(crate) fn clear(&mut self) -> (usize, usize) {
        let waiting = self.waiting.values_mut().flat_map(take);
        let ready = take(&mut self.ready).into_iter().map(|(_, delivered)| delivered);
        waiting.chain(ready).fold((0, 0), |(number, bytes), gone| (number + 1, bytes + gone.weight))
    }
}

fn put_back(records: &mut VecDeque<Delivered>, mut back: VecDeque<Delivered>) {
    if !back.is_empty() {
        back.append(records);
        *records = back;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

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
        Delivered { record, weight: 1 }
    }

    fn lanes(ordering: Ordering, keys: &[Option<&'static str>]) -> Lanes {
        let mut lanes = Lanes::new(ordering);
        (0..).zip(keys).for_each(|(offset, key)| lanes.push(record(offset, *key)));
        lanes
    }

    /// By its key, what was taken of each lane.
    fn taken(lanes: &mut Lanes, most: usize, of_one: usize) -> Vec<(&'static str, Vec<i64>)> {
        let names = [lane(lanes, "a"), lane(lanes, "b"), lane(lanes, "")].into_iter().zip(["a", "b", ""]);
        let names: Vec<_> = names.chain([(Lane(None), "alone")]).collect();
        let name = |lane: Lane| names.iter().find(|(known, _)| *known == lane).unwrap().1;
        let offset = |delivered: &Delivered| delivered.record.offset;
        let turns = lanes.take(most, of_one).into_iter();
        turns
            .map(|turn| {
                (name(turn.lane), std::iter::once(&turn.first).chain(&turn.more).map(offset).collect())
            })
            .collect()
    }

    fn lane(lanes: &Lanes, key: &str) -> Lane {
        Lane(Some(lanes.hasher.hash_one(key.as_bytes())))
    }

    const KEYS: [Option<&str>; 5] = [Some("a"), Some("a"), Some("b"), None, None];

    #[test]
    fn one_lane_per_key_and_one_per_record_without_key() {
        let mut lanes = lanes(Ordering::Key, &KEYS);
        let alone = |offset| ("alone", vec![offset]);
        assert_eq!(taken(&mut lanes, 9, 1), [("a", vec![0]), ("b", vec![2]), alone(3), alone(4)]);
        assert!(!lanes.is_ready(), "a is at work");
    }

    #[test]
    fn the_partition_may_be_one_lane_and_every_record_its_own() {
        assert_eq!(taken(&mut lanes(Ordering::Partition, &KEYS), 9, 1), [("", vec![0])]);
        assert_eq!(taken(&mut lanes(Ordering::None, &KEYS), 9, 1).len(), 5);
    }

    #[test]
    fn no_more_are_taken_than_may_be_and_lanes_go_round() {
        let mut lanes = lanes(Ordering::Key, &[Some("a"), Some("a"), Some("a"), Some("b"), Some("b")]);
        assert_eq!(taken(&mut lanes, 3, 2), [("a", vec![0, 1]), ("b", vec![3])]);
        assert!(!lanes.is_ready(), "both are at work");
        for key in ["b", "a"] {
            lanes.done(lane(&lanes, key), VecDeque::new());
        }
        assert_eq!(taken(&mut lanes, 9, 9), [("b", vec![4]), ("a", vec![2])]);
    }

    #[test]
    fn what_comes_back_is_the_beginning_of_its_lane_again() {
        let mut lanes = lanes(Ordering::Key, &[Some("a"), Some("a"), Some("a"), None]);
        let mut turns = lanes.take(9, 2);
        let Turn { lane, first, more } = turns.remove(0);
        // The first is still at work when the second comes back.
        lanes.give_back(lane, more);
        let alone = turns.remove(0);
        lanes.done(alone.lane, [alone.first].into());
        assert_eq!(taken(&mut lanes, 9, 9), [("alone", vec![3])]);
        lanes.done(lane, [first].into());
        assert_eq!(taken(&mut lanes, 9, 9), [("a", vec![0, 1, 2])]);
    }

    #[test]
    fn a_lane_opens_again_after_it_was_empty() {
        let mut lanes = lanes(Ordering::Key, &[Some("a")]);
        taken(&mut lanes, 9, 9);
        lanes.done(lane(&lanes, "a"), VecDeque::new());
        assert!(lanes.waiting.is_empty() && !lanes.is_ready());
        lanes.push(record(1, Some("a")));
        assert_eq!(taken(&mut lanes, 9, 9), [("a", vec![1])]);
    }

    #[test]
    fn a_lane_does_not_keep_the_memory_of_its_first_record() {
        let mut value = Bytes::from(b"key and a large value".to_vec());
        let key = value.split_to(3);
        let mut first = record(0, None);
        let record = Arc::get_mut(&mut first.record).unwrap();
        (record.key, record.value) = (Some(key), None);
        let mut lanes = Lanes::new(Ordering::Key);
        lanes.push(first);
        drop(lanes.take(1, 1));
        assert_eq!(lanes.waiting.len(), 1, "it is at work");
        assert!(value.is_unique());
    }

    #[test]
    fn what_is_forgotten_is_counted() {
        let mut lanes = lanes(Ordering::Key, &KEYS);
        taken(&mut lanes, 1, 1);
        assert_eq!(lanes.clear(), (4, 4), "the first is at work");
        assert!(!lanes.is_ready());
    }
}
