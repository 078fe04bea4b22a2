//! Events that are claimed together and end together: what would be written for each of them is written once.
//!
//! A claim leaves under its key a number, which names the batch and the event's place in it, and beside the keys a record
//! of what they have in common: `functions.lua` describes both. Where every handler of a batch has answered at once, one
//! small write ends all of its events. Whatever happens to one of them alone (a renewal, a duplicate that asks, a lease
//! that has run out) splits the batch for good, and its events end one by one; so do those that a server has lost.
//!
//! A batch that does not end as a whole was not worth its record. So events are claimed one by one until several batches
//! in a row would have ended together.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::together::{Batch, Numbers, PLACES, Whole, are_alike};
use crate::store::{Claim, ClaimRequest, Completion, End, Held, Layout, StoreKey};

/// Fewer events are not worth a record of their own.
const FEW: usize = 8;
/// So many batches in a row have to have ended as a whole.
const IN_A_ROW: u32 = 4;
/// Batches under way that are kept in mind; the events of those before end one by one.
const MOST: usize = 64;

/// The batches of this process, as far as they are under way.
#[derive(Debug, Default)]
pub(super) struct Batches {
    under_way: Mutex<VecDeque<UnderWay>>,
    in_a_row: AtomicU32,
    /// Events are always claimed together, however few they are and whatever becomes of them.
    always: bool,
    numbers: Numbers,
}

/// The claims that were granted under one token, and have neither ended nor been given back.
#[derive(Debug)]
struct UnderWay {
    token: u64,
    /// Where they stand, if they were claimed together.
    batch: Option<Batch>,
    /// In their order, and for how long they are remembered.
    keys: VecDeque<(StoreKey, Duration)>,
    /// The place of the last of them.
    last: usize,
    /// Some have ended, or were given back.
    is_split: bool,
}

impl Batches {
    /// For tests of what together means.
    #[cfg(feature = "testing")]
    pub(super) fn always(number: Option<u64>) -> Self {
        let numbers = number.map_or(Numbers::Drawn, Numbers::Always);
        Self { always: true, numbers, ..Self::default() }
    }

    /// Where the number of the batch comes from in which these are to be claimed together; `None` where they are not.
    pub(super) fn numbers_for(&self, requests: &[ClaimRequest]) -> Option<Numbers> {
        let enough =
            self.always || requests.len() >= FEW && self.in_a_row.load(Ordering::Relaxed) >= IN_A_ROW;
        let suit = enough && requests.len() <= PLACES && are_alike(requests);
        suit.then_some(self.numbers)
    }

    /// Takes note of what was granted under this token.
    pub(super) fn granted(
        &self,
        granted: Option<(u64, Option<Batch>)>,
        requests: &[ClaimRequest],
        answers: &[Claim],
    ) {
        let Some((token, batch)) = granted else { return };
        let (mut last, mut keys) = (0, VecDeque::with_capacity(requests.len()));
        keys.extend(requests.iter().zip(answers).enumerate().filter_map(|(place, (request, answer))| {
            let is_granted = matches!(answer, Claim::Won(grant) if grant.token == token && grant.is_first());
            is_granted.then(|| {
                last = place;
                (request.key.clone(), request.retention)
            })
        }));
        if keys.is_empty() || batch.is_none() && keys.len() < FEW {
            return;
        }
        let mut under_way = self.lock();
        if under_way.len() >= MOST {
            under_way.pop_front();
        }
        under_way.push_back(UnderWay { token, batch, keys, last, is_split: false });
    }

    /// The batch that ends with these, if it was claimed together and they are all that is in it.
    pub(super) fn whole(&self, completions: &[Completion]) -> Option<Whole> {
        let first = completions.first()?;
        let under_way = self.lock();
        let batch = under_way.iter().find(|batch| batch.token == first.held.token)?;
        let says_nothing_new = |(completion, (_, remembered)): (&Completion, &(StoreKey, Duration))| {
            let Completion { end, attempts, fingerprint, layout, held, retention, .. } = completion;
            (*end, *attempts, *fingerprint, *layout, held.hop, retention)
                == (End::Done, 1, None, Layout::Keys, 0, remembered)
        };
        let is_whole = batch.is_all_of(completions.iter().map(|completion| &completion.held))
            && completions.iter().zip(&batch.keys).all(says_nothing_new);
        let together = batch.batch.filter(|_| is_whole)?;
        Some(Whole::new(together, &completions.last()?.held, batch.last))
    }

    /// Where the claims under these tokens stand that were claimed together.
    pub(super) fn of(&self, tokens: impl Iterator<Item = u64>) -> HashMap<u64, Batch> {
        let under_way = self.lock();
        if under_way.iter().all(|batch| batch.batch.is_none()) {
            return HashMap::new();
        }
        let found = tokens.filter_map(|token| {
            let batch = under_way.iter().find(|batch| batch.token == token)?;
            Some((token, batch.batch?))
        });
        found.collect()
    }

    /// Takes note of what has ended, or was given back. The records of batches stay until nobody remembers their events:
    /// a server that has lost what came last may have events in them that had ended by themselves.
    pub(super) fn over<'a>(&self, over: impl Iterator<Item = &'a Held> + Clone) {
        let mut under_way = self.lock();
        if under_way.iter().any(|batch| batch.is_all_of(over.clone())) {
            self.in_a_row.fetch_add(1, Ordering::Relaxed);
        } else if over.clone().any(|held| under_way.iter().any(|batch| batch.token == held.token)) {
            self.in_a_row.store(0, Ordering::Relaxed);
        }
        for held in over {
            let Some(at) = under_way.iter().position(|batch| batch.token == held.token) else { continue };
            under_way[at].is_split = true;
            // As a rule it is the first.
            let keys = &mut under_way[at].keys;
            if let Some(place) = keys.iter().position(|(key, _)| *key == held.key) {
                keys.remove(place);
            }
            if keys.is_empty() {
                under_way.remove(at);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<UnderWay>> {
        // Whoever held it has left whole batches behind.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl UnderWay {
    /// Whether these are all that were granted, in the order in which they were claimed.
    fn is_all_of<'a>(&self, over: impl Iterator<Item = &'a Held>) -> bool {
        let ours = |held: &'a Held| (held.token == self.token).then_some(&held.key);
        !self.is_split && over.map(ours).eq(self.keys.iter().map(|(key, _)| Some(key)))
    }
}
