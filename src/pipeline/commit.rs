//! What may be committed. Pure: no clock, no I/O, and the only place that knows.

use std::collections::VecDeque;

use super::{Finished, Settled};

/// The records of one partition in one assignment, delivered in order, settled in any order.
///
/// Its [`watermark`](Self::watermark) is the only thing that is ever committed: the offset below which
/// everything is settled. Gaps in the offsets (compaction, transaction markers) do not hold it.
#[derive(Debug)]
pub struct Tracker {
    epoch: u64,
    /// The next offset that has not been delivered.
    next: i64,
    /// Every delivered record from the first unsettled one on, in offset order.
    open: VecDeque<Open>,
    unsettled: usize,
    /// What an owner of before has finished beyond the position where this one began.
    before: Finished,
}

#[derive(Debug)]
struct Open {
    offset: i64,
    timestamp: Option<i64>,
    settled: bool,
}

impl Tracker {
    /// A partition assigned as `epoch`, read from offset `position` on.
    #[must_use]
    pub fn starting_at(epoch: u64, position: i64) -> Self {
        Self::resuming(epoch, position, Finished::default())
    }

    /// The same, where an owner of before has finished some records already.
    #[must_use]
    pub fn resuming(epoch: u64, position: i64, before: Finished) -> Self {
        Self { epoch, next: position, open: VecDeque::new(), unsettled: 0, before }
    }

    /// The assignment that this is about.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The proof that an owner of before has finished this record, if one has.
    #[must_use]
    pub fn settled_before(&self, offset: i64) -> Option<Settled> {
        self.before.settled(self.epoch, offset)
    }

    /// Takes note of a record; `false` if it was delivered before and must not be handled again.
    pub fn deliver(&mut self, offset: i64, timestamp: Option<i64>) -> bool {
        if offset < self.next {
            return false;
        }
        self.open.push_back(Open { offset, timestamp, settled: false });
        self.next = offset + 1;
        self.unsettled += 1;
        true
    }

    /// Takes note that a record needs no more work. What belongs to another assignment of the partition, was
    /// never delivered or was settled before changes nothing.
    pub fn settle(&mut self, settled: Settled) {
        if settled.epoch() != self.epoch {
            return;
        }
        let Some(index) = self.index(settled.offset()) else { return };
        if !std::mem::replace(&mut self.open[index].settled, true) {
            self.unsettled -= 1;
        }
        while self.open.front().is_some_and(|open| open.settled) {
            self.open.pop_front();
        }
    }

    fn index(&self, offset: i64) -> Option<usize> {
        // Where no offsets are missing, the place is known.
        let near = usize::try_from(offset - self.open.front()?.offset).ok()?;
        if self.open.get(near).is_some_and(|open| open.offset == offset) {
            return Some(near);
        }
        self.open.binary_search_by_key(&offset, |open| open.offset).ok()
    }

    /// The offset to commit: everything below it is settled.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.open.front().map_or(self.next, |open| open.offset)
    }

    /// What is finished beyond the watermark: here, and before by others who got further. Offsets between two finished
    /// records that no record has count as finished, too.
    #[must_use]
    pub fn finished(&self) -> Finished {
        let mut finished = Finished::default();
        if self.open.len() > self.unsettled {
            let mut run = None;
            for Open { offset, settled, .. } in &self.open {
                run = match (run, settled) {
                    (None, true) => Some((*offset, offset + 1)),
                    (Some((from, _)), true) => Some((from, offset + 1)),
                    (Some((from, to)), false) => {
                        finished.push(from, to);
                        None
                    }
                    (None, false) => None,
                };
            }
            run.into_iter().for_each(|(from, to)| finished.push(from, to));
        }
        self.before.from(self.next).for_each(|(from, to)| finished.push(from, to));
        finished
    }

    /// The next offset that has not been delivered.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.next
    }

    /// Records delivered and not settled.
    #[must_use]
    pub fn unsettled(&self) -> usize {
        self.unsettled
    }

    /// Records kept in mind: from the first unsettled one to the last delivered one.
    #[must_use]
    pub fn span(&self) -> usize {
        self.open.len()
    }

    /// The time of the record that holds the watermark, in milliseconds since 1970, if there is one.
    #[must_use]
    pub fn oldest_timestamp(&self) -> Option<i64> {
        self.open.front().and_then(|open| open.timestamp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::How, *};

    const EPOCH: u64 = 7;

    fn tracker(offsets: impl IntoIterator<Item = i64>) -> Tracker {
        let mut tracker = Tracker::starting_at(EPOCH, 0);
        offsets.into_iter().for_each(|offset| assert!(tracker.deliver(offset, None)));
        tracker
    }

    fn settled(offset: i64) -> Settled {
        Settled::new(EPOCH, offset, How::Done)
    }

    #[test]
    fn an_unsettled_record_holds_the_watermark_whatever_follows_it() {
        let mut tracker = tracker(0..5);
        [0, 2, 3, 4].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert_eq!(tracker.watermark(), 1);
        tracker.settle(settled(1));
        assert_eq!(tracker.watermark(), 5);
    }

    #[test]
    fn gaps_in_the_offsets_hold_nothing() {
        let mut tracker = tracker([3, 10, 400]);
        assert_eq!(tracker.watermark(), 3);
        tracker.settle(settled(3));
        assert_eq!(tracker.watermark(), 10);
        tracker.settle(settled(400));
        tracker.settle(settled(10));
        assert_eq!(tracker.watermark(), 401);
    }

    #[test]
    fn an_empty_partition_stays_where_it_began() {
        assert_eq!(Tracker::starting_at(EPOCH, 42).watermark(), 42);
    }

    #[test]
    fn settling_for_another_epoch_changes_nothing() {
        let mut tracker = tracker(0..1);
        tracker.settle(Settled::new(EPOCH - 1, 0, How::Done));
        assert_eq!((tracker.watermark(), tracker.unsettled()), (0, 1));
    }

    #[test]
    fn what_was_never_delivered_cannot_be_settled_and_nothing_counts_twice() {
        let mut tracker = tracker(0..2);
        tracker.settle(settled(9));
        tracker.settle(settled(1));
        tracker.settle(settled(1));
        assert_eq!((tracker.watermark(), tracker.unsettled()), (0, 1));
    }

    #[test]
    fn a_record_delivered_again_is_refused() {
        let mut tracker = tracker(0..3);
        assert!(!tracker.deliver(2, None));
        assert_eq!(tracker.unsettled(), 3);
    }

    /// The offsets up to 30 that are finished.
    fn offsets(finished: &Finished) -> Vec<i64> {
        (0..30).filter(|offset| finished.contains(*offset)).collect()
    }

    #[test]
    fn what_is_finished_behind_an_unsettled_record_is_known() {
        let mut tracker = tracker(0..6);
        assert!(tracker.finished().is_empty());
        [0, 2, 3, 5].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert_eq!(offsets(&tracker.finished()), [2, 3, 5]);
        [1, 4].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert!(tracker.finished().is_empty(), "the watermark says it all");
    }

    #[test]
    fn what_others_have_finished_is_known_until_it_was_delivered_and_settled() {
        let mut before = Finished::default();
        before.push(2, 4);
        before.push(20, 22);
        let mut tracker = Tracker::resuming(EPOCH, 0, before);
        (0..5).for_each(|offset| assert!(tracker.deliver(offset, None)));
        assert_eq!(
            (0..5).filter(|offset| tracker.settled_before(*offset).is_some()).collect::<Vec<_>>(),
            [2, 3]
        );
        [2, 3].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert_eq!(offsets(&tracker.finished()), [2, 3, 20, 21], "the next owner has to know them, too");
        [0, 1, 4].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert_eq!((tracker.watermark(), offsets(&tracker.finished())), (5, vec![20, 21]));
    }

    #[test]
    fn gaps_in_the_offsets_do_not_part_what_is_finished() {
        let mut tracker = tracker([0, 2, 4, 6, 8]);
        [2, 4, 8].into_iter().for_each(|offset| tracker.settle(settled(offset)));
        assert_eq!(offsets(&tracker.finished()), [2, 3, 4, 8]);
    }

    proptest! {
        /// Against the definition, recomputed from scratch after every step.
        #[test]
        fn the_watermark_is_the_longest_settled_prefix(
            gaps in prop::collection::vec(1_i64..4, 1..60),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..120),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(-1, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut tracker = tracker(offsets.iter().copied());
            let mut open = offsets.clone();
            for index in order {
                let offset = offsets[index.index(offsets.len())];
                open.retain(|other| *other != offset);
                tracker.settle(settled(offset));
                let expected = open.first().copied().unwrap_or(offsets[offsets.len() - 1] + 1);
                prop_assert_eq!(tracker.watermark(), expected);
                prop_assert_eq!(tracker.unsettled(), open.len());
                let finished = tracker.finished();
                for offset in offsets.iter().filter(|offset| **offset >= tracker.watermark()) {
                    prop_assert_eq!(finished.contains(*offset), !open.contains(offset));
                }
            }
        }
    }
}
