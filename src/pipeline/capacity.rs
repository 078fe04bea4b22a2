//! How many handlers run at once, and that no partition takes every place.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// The places of one service. Half of them are shared out evenly among its partitions, so that slow handlers
/// of one partition never stop the others; the rest go to whoever comes first.
pub(crate) struct Capacity {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: usize,
    shares: BTreeMap<u64, Share>,
    /// Whose turn it was last: places go round.
    last: u64,
}

#[derive(Default)]
struct Share {
    running: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
    /// The partition was revoked: what runs still counts, but nothing is kept free for it.
    closed: bool,
}

impl Capacity {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, state: Mutex::default() })
    }

    /// Gives an assigned partition its share.
    pub(crate) fn open(&self, epoch: u64) {
        self.lock().shares.entry(epoch).or_default();
    }

    /// Takes the share of a revoked partition back; its running handlers still count.
    pub(crate) fn close(&self, epoch: u64) {
        let mut state = self.lock();
        if let Some(share) = state.shares.get_mut(&epoch) {
            share.closed = true;
        }
        state.grant(self.limit);
    }

    /// Waits for a place, for ever if the partition was revoked. Dropping the future gives up the place in the
    /// queue.
    pub(crate) async fn place(self: &Arc<Self>, epoch: u64) -> Places {
        let waiting = {
            let mut state = self.lock();
            let (turn, waiting) = oneshot::channel();
            let share = state.shares.get_mut(&epoch).filter(|share| !share.closed);
            share.map(|share| share.waiting.push_back(turn)).map(|()| {
                state.grant(self.limit);
                Turn { waiting, capacity: Arc::clone(self), epoch }
            })
        };
        match waiting {
            Some(waiting) => waiting.await_turn().await,
            // A revoked partition gets no place any more; whoever asks is about to be told to stop.
            None => std::future::pending().await,
        }
    }

    /// Waits for a place like [`place`](Self::place), and takes what is free beside it, up to `most` in all.
    pub(crate) async fn places(self: &Arc<Self>, epoch: u64, most: usize) -> Places {
        let mut places = self.place(epoch).await;
        places.number += self.lock().take_free(self.limit, epoch, most.saturating_sub(1));
        places
    }

    /// A place, if one is free.
    pub(crate) fn try_place(self: &Arc<Self>, epoch: u64) -> Option<Places> {
        let taken = self.lock().take_free(self.limit, epoch, 1);
        (taken == 1).then(|| Places { capacity: Arc::clone(self), epoch, number: 1 })
    }

    fn give_back(&self, epoch: u64, places: usize) {
        let mut state = self.lock();
        state.running -= places;
        if let Some(share) = state.shares.get_mut(&epoch) {
            share.running -= places;
        }
        state.grant(self.limit);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capacity").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl State {
    /// Hands out every place that may be handed out.
    fn grant(&mut self, limit: usize) {
        self.shares.retain(|_, share| !share.closed || share.running > 0 || !share.waiting.is_empty());
        let guaranteed = self.guaranteed(limit);
        let mut progress = self.shares.values().any(|share| !share.waiting.is_empty());
        while progress {
            progress = false;
            let (before, after): (Vec<_>, Vec<_>) = self
                .shares
                .iter()
                .filter(|(_, share)| !share.waiting.is_empty())
                .map(|(epoch, _)| *epoch)
                .partition(|epoch| *epoch <= self.last);
            for epoch in after.into_iter().chain(before) {
                if self.grant_one(epoch, limit, guaranteed) {
                    self.last = epoch;
                    progress = true;
                }
            }
        }
    }

    /// What each of the partitions may count on.
    fn guaranteed(&self, limit: usize) -> usize {
        let open = self.shares.values().filter(|share| !share.closed).count().max(1);
        limit / (2 * open)
    }

    /// How many more a partition may take now.
    fn room(&self, epoch: u64, limit: usize, guaranteed: usize) -> usize {
        let Some(share) = self.shares.get(&epoch) else { return 0 };
        let others = self.shares.iter().filter(|(other, share)| **other != epoch && !share.closed);
        let kept: usize = others.map(|(_, share)| guaranteed.saturating_sub(share.running)).sum();
        let free = limit.saturating_sub(self.running);
        let own = if share.closed { 0 } else { guaranteed.saturating_sub(share.running) };
        free.saturating_sub(kept).max(own).min(free)
    }

    /// Takes up to `most` free places for a partition, unless somebody has waited longer.
    fn take_free(&mut self, limit: usize, epoch: u64, most: usize) -> usize {
        let waited = |share: &Share| share.waiting.iter().any(|turn| !turn.is_closed());
        if most == 0 || self.shares.values().any(waited) {
            return 0;
        }
        let taken = most.min(self.room(epoch, limit, self.guaranteed(limit)));
        let Some(share) = self.shares.get_mut(&epoch).filter(|share| !share.closed) else { return 0 };
        share.running += taken;
        self.running += taken;
        taken
    }

    fn grant_one(&mut self, epoch: u64, limit: usize, guaranteed: usize) -> bool {
        let room = self.room(epoch, limit, guaranteed) > 0;
        let Some(share) = self.shares.get_mut(&epoch) else { return false };
        while room && let Some(turn) = share.waiting.pop_front() {
            // A waiter that has gone away takes no place.
            if turn.send(()).is_ok() {
                share.running += 1;
                self.running += 1;
                return true;
            }
        }
        false
    }
}

/// A place in the queue; dropped after its turn came and before it was taken, it gives the place back.
struct Turn {
    waiting: oneshot::Receiver<()>,
    capacity: Arc<Capacity>,
    epoch: u64,
}

impl Turn {
    async fn await_turn(mut self) -> Places {
        // The sender lives in the queue until it is used: an error cannot happen while `self` waits.
        drop((&mut self.waiting).await);
        Places { capacity: Arc::clone(&self.capacity), epoch: self.epoch, number: 1 }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.waiting.close();
        if self.waiting.try_recv().is_ok() {
            self.capacity.give_back(self.epoch, 1);
        }
    }
}

/// Places of one partition, as a rule one: the right to run as many handlers. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Places {
    capacity: Arc<Capacity>,
    epoch: u64,
    number: usize,
}

impl Places {
    pub(crate) fn number(&self) -> usize {
        self.number
    }

    /// Takes what has become free beside them, up to `most` in all.
    pub(crate) fn take_more(&mut self, most: usize) {
        let mut state = self.capacity.lock();
        self.number += state.take_free(self.capacity.limit, self.epoch, most.saturating_sub(self.number));
    }

    /// Some of them, to be given back by themselves.
    pub(crate) fn split(&mut self, number: usize) -> Option<Self> {
        self.number = self.number.checked_sub(number)?;
        Some(Self { capacity: Arc::clone(&self.capacity), epoch: self.epoch, number })
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        if self.number > 0 {
            self.capacity.give_back(self.epoch, self.number);
        }
    }
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;
