//! What became of each record, until it counts.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{Part, Tally};
use crate::pipeline::How;

/// What was settled, by topic and partition, with its offset: counted once everything below it is settled, too, so
/// that a report never counts what a resumed replay counts again.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<All>);

type All = BTreeMap<String, BTreeMap<i32, Noted>>;

/// Of one partition.
#[derive(Debug, Default)]
struct Noted {
    /// By the pipeline, in any order. What it is busy with bounds their number.
    settled: Vec<(i64, How)>,
    /// In the order of the log: the last of those that were passed with nothing taken in between, however many.
    passed: Vec<(i64, Tally)>,
    /// Whether something was taken since.
    is_cut: bool,
}

/// What became of a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Settled(How),
    Outside,
    Timeless,
}

impl Notes {
    /// The pipeline has settled it.
    pub(super) fn settled(&self, topic: &str, partition: i32, offset: i64, how: How) {
        self.change(topic, partition, |noted| noted.settled.push((offset, how)));
    }

    /// The pipeline takes it.
    pub(super) fn taken(&self, topic: &str, partition: i32) {
        self.change(topic, partition, |noted| noted.is_cut = true);
    }

    /// It needs no pipeline. Called in the order of the log.
    pub(super) fn passed(&self, topic: &str, partition: i32, offset: i64, what: What) {
        self.change(topic, partition, |noted| {
            let is_cut = std::mem::take(&mut noted.is_cut);
            if is_cut || noted.passed.is_empty() {
                noted.passed.push((offset, Tally::default()));
            }
            if let Some((last, tally)) = noted.passed.last_mut() {
                *last = offset;
                *what.count(tally) += 1;
            }
        });
    }

    fn change(&self, topic: &str, partition: i32, change: impl FnOnce(&mut Noted)) {
        let mut notes = self.lock();
        if !notes.contains_key(topic) {
            notes.insert(topic.to_owned(), BTreeMap::new());
        }
        if let Some(topic) = notes.get_mut(topic) {
            change(topic.entry(partition).or_default());
        }
    }

    /// Moves what lies below `at` into the tally.
    pub(super) fn count(&self, part: &mut Part) {
        let mut notes = self.lock();
        let Some(topic) = notes.get_mut(&part.topic) else { return };
        let Some(noted) = topic.get_mut(&part.partition) else { return };
        noted.settled.retain(|(offset, how)| {
            let counts = *offset < part.at;
            if counts {
                *What::Settled(*how).count(&mut part.tally) += 1;
            }
            !counts
        });
        // Nothing between them is unsettled, so that they count all at once.
        noted.passed.retain(|(last, tally)| {
            let counts = *last < part.at;
            if counts {
                part.tally += *tally;
            }
            !counts
        });
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl What {
    fn count(self, tally: &mut Tally) -> &mut u64 {
        match self {
            Self::Settled(How::Done) => &mut tally.ran,
            Self::Settled(How::Skipped) => &mut tally.skipped,
            Self::Settled(How::Duplicate) => &mut tally.already_done,
            Self::Settled(How::DeadLettered) => &mut tally.dead_lettered,
            Self::Settled(How::WasDead) => &mut tally.already_dead,
            Self::Settled(How::WasMoved | How::Deferred) => &mut tally.in_progress,
            Self::Settled(How::LeftOut) => &mut tally.left_out,
            Self::Outside => &mut tally.outside,
            Self::Timeless => &mut tally.timeless,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> Part {
        let topic = "t".to_owned();
        Part { topic, partition: 0, begin: 0, end: 9, at: 0, topic_id: None, tally: Tally::default() }
    }

    #[test]
    fn however_many_are_passed_behind_one_that_waits_they_take_no_more_room_and_count_behind_it() {
        let (notes, mut part) = (Notes::default(), part());
        (0..100).for_each(|offset| notes.passed("t", 0, offset, What::Outside));
        notes.taken("t", 0);
        for offset in 101..1_000_000 {
            let what = if offset % 2 == 0 { What::Outside } else { What::Settled(How::Duplicate) };
            notes.passed("t", 0, offset, what);
        }
        assert!(notes.lock()["t"][&0].passed.capacity() < 10);
        part.at = 100;
        notes.count(&mut part);
        assert_eq!(part.tally, Tally { outside: 100, ..Tally::default() }, "what was before it counts");
        notes.settled("t", 0, 100, How::Done);
        part.at = 1_000_000;
        notes.count(&mut part);
        let (ran, already_done, outside) = (1, 499_950, 100 + 499_949);
        assert_eq!(part.tally, Tally { ran, already_done, outside, ..Tally::default() });
        notes.count(&mut part);
        assert_eq!(part.tally.ran, 1, "nothing counts twice");
    }
}
