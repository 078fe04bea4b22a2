//! More records for a partition, taken in by whoever is about to work on them: what a thread has copied itself lies in
//! the cache of its own processor, and what it frees later is its own.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::source::{Bounds, Partition};
use crate::Record;

/// Where the records of one partition are, in order.
pub(crate) trait Feed: Send + Sync + fmt::Debug {
    /// Hands over what is there, as far as there is room for it. Called by one thread at a time, and never again before
    /// what was handed over is taken in.
    fn take(&self, room: Bounds, to: &mut dyn FnMut(Vec<Arc<Record>>));
}

/// What there was to take in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fetched {
    /// Nothing, or the batches at work take it.
    Nothing,
    /// There was no room.
    Full,
    Some,
}

/// What a partition is fed from. Locked while records are taken: nobody overtakes another. Whoever panics there may have
/// lost some, so that nothing behind them may ever be taken in: a lock that is poisoned stays shut.
#[derive(Debug, Default)]
pub(super) struct Source(Mutex<Option<Fed>>);

#[derive(Debug)]
struct Fed {
    feed: Arc<dyn Feed>,
    /// How much the partition may hold of the bounds of its service.
    share: Bounds,
    /// When the thread that polls said so.
    at: Instant,
}

/// Batches take nothing in when the thread that polls has stood still for so long: it is the one that commits, and by it
/// Kafka knows that this member is alive.
const STANDS_STILL: Duration = Duration::from_secs(2);

impl Source {
    /// Nothing is taken from it any more when this returns.
    pub(super) fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Partition {
    /// Takes in what the feed has, unless enough batches are at work that do so themselves. To be called by the thread that
    /// polls, again and again: `share` is what the partition may hold now.
    pub(crate) fn fetch(self: &Arc<Self>, feed: Arc<dyn Feed>, share: Bounds) -> Fetched {
        let Ok(mut source) = self.source.0.lock() else { return Fetched::Nothing };
        if self.is_stopping() {
            return Fetched::Nothing;
        }
        let Fed { feed, .. } = source.insert(Fed { feed, share, at: Instant::now() });
        if self.batches_take() && !self.topic.hold.is_closed() {
            return Fetched::Nothing;
        }
        let room = match self.may_take(share) {
            Ok(room) => room,
            Err(nothing) => return nothing,
        };
        let mut fetched = Fetched::Nothing;
        feed.take(room, &mut |records| {
            fetched = Fetched::Some;
            self.take(records);
        });
        fetched
    }

    /// How much it may take in now, of what it may hold; or that there is nothing to take, or no room.
    pub(crate) fn may_take(&self, share: Bounds) -> Result<Bounds, Fetched> {
        let mut room = self.room(share);
        if self.topic.hold.is_closed() {
            // What is fetched already stays where it is, but for the first: since when it waits is to be known.
            if !self.is_idle() {
                return Err(Fetched::Nothing);
            }
            room.records = room.records.min(1);
        }
        if room.records > 0 { Ok(room) } else { Err(Fetched::Full) }
    }

    /// Takes in what a batch of up to `most` can do with, unless enough is there.
    pub(super) fn refill(self: &Arc<Self>, most: usize) {
        // Whoever takes records now has more batches begin.
        let Ok(source) = self.source.0.try_lock() else { return };
        let Some(Fed { feed, share, .. }) = source.as_ref().filter(|fed| fed.at.elapsed() < STANDS_STILL)
        else {
            return;
        };
        if self.state().lanes.ready() >= most / 2 {
            return;
        }
        let room = self.room(*share);
        let room = Bounds { records: room.records.min(most), ..room };
        if room.records > 0 {
            feed.take(room, &mut |records| self.take(records));
        }
    }
}
