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
pub(super) struct Notes(Mutex<Noted>);

type Noted = BTreeMap<(String, i32), Vec<(i64, What)>>;

/// What became of a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum What {
    Settled(How),
    Outside,
    Timeless,
}

impl Notes {
    pub(super) fn add(&self, topic: &str, partition: i32, offset: i64, what: What) {
        self.lock().entry((topic.to_owned(), partition)).or_default().push((offset, what));
    }

    /// Moves what lies below `at` into the tally.
    pub(super) fn count(&self, part: &mut Part) {
        let mut notes = self.lock();
        let Some(noted) = notes.get_mut(&(part.topic.clone(), part.partition)) else { return };
        noted.retain(|(offset, what)| {
            let counts = *offset < part.at;
            if counts {
                *what.count(&mut part.tally) += 1;
            }
            !counts
        });
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
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
            Self::Settled(How::LeftOut) => &mut tally.left_out,
            Self::Outside => &mut tally.outside,
            Self::Timeless => &mut tally.timeless,
        }
    }
}
