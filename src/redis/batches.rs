//! Events that are claimed together and end together: what would be written for each of them is written once.
//!
//! A claim leaves under its key a number, which names the batch and the event's place in it, and beside the keys a record
//! of what they have in common: `functions.lua` describes both. Where every handler of a batch has answered at once, one
//! small write ends all of its events. Whatever happens to one of them alone (a renewal, a duplicate that asks, a lease
//! that has run out) splits the batch for good, and its events end one by one; so do those that a server has lost.
//!
//! A batch that does not end as a whole was not worth its record. So events are claimed one by one until several batches
//! would have ended together, and again when too many have come apart. One now and then does not matter: what its record
//! costs is little beside what the others save.

use std::collections::{HashMap, VecDeque};
use std::mem::replace;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::together::{Batch, Numbers, PLACES, Whole, are_alike};
use crate::store::{Claim, ClaimRequest, Completion, End, Held, Layout, StoreKey};

/// Fewer events are not worth a record of their own.
const FEW: usize = 8;
/// So many batches have to have ended as a whole, without those that others took back.
const ENOUGH: u32 = 4;
/// More than this does not count.
const MOST_WHOLE: u32 = 8;
/// A batch that comes apart takes back so many.
const APART: u32 = 4;
/// Batches under way that are kept in mind; the events of those before end one by one.
const MOST: usize = 64;

/// The batches of this process, as far as they are under way.
#[derive(Debug, Default)]
pub(super) struct Batches {
    under_way: Mutex<VecDeque<UnderWay>>,
    /// How many batches have ended as a whole, less what others took back.
    whole: AtomicU32,
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
        let enough = self.always || requests.len() >= FEW && self.whole.load(Ordering::Relaxed) >= ENOUGH;
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

    /// The server did not end the batch of this token as a whole: its events end one by one.
    pub(super) fn refused(&self, token: u64) {
        let mut under_way = self.lock();
        if let Some(batch) = under_way.iter_mut().find(|batch| batch.token == token) {
            batch.is_split = true;
            self.count(|whole| whole.saturating_sub(APART));
        }
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
        let is_whole = under_way.iter().any(|batch| batch.is_all_of(over.clone()));
        let mut apart = 0;
        for held in over {
            let Some(at) = under_way.iter().position(|batch| batch.token == held.token) else { continue };
            apart += u32::from(!replace(&mut under_way[at].is_split, true));
            // As a rule it is the first.
            let keys = &mut under_way[at].keys;
            if let Some(place) = keys.iter().position(|(key, _)| *key == held.key) {
                keys.remove(place);
            }
            if keys.is_empty() {
                under_way.remove(at);
            }
        }
        self.count(|whole| match apart {
            _ if is_whole => (whole + 1).min(MOST_WHOLE),
            apart => whole.saturating_sub(apart * APART),
        });
    }

    /// To be called by one thread at a time.
    fn count(&self, change: impl Fn(u32) -> u32) {
        self.whole.store(change(self.whole.load(Ordering::Relaxed)), Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Grant, OwnerFactory};

    /// Claims of a batch; answers what is held, and whether it was claimed together.
    fn claim(batches: &Batches, token: u64) -> (Vec<Held>, bool) {
        let owners = OwnerFactory::new().partition(1, "orders", 0);
        let request = |offset: i64| ClaimRequest {
            key: StoreKey::new("oncewise", "billing", "charge", format!("{token}-{offset}")),
            owner: owners.delivery(offset),
            lease: Duration::from_secs(30),
            retention: Duration::from_secs(3_600),
            max_deliveries: 3,
            fingerprint: None,
            hop: 0,
        };
        let requests: Vec<_> = (0..i64::try_from(FEW).unwrap()).map(request).collect();
        let together = batches.numbers_for(&requests).is_some();
        let grant = Grant { token, attempts: 0, takeovers: 0, first_failure_ms: None };
        batches.granted(Some((token, None)), &requests, &vec![Claim::Won(grant); requests.len()]);
        let held =
            requests.into_iter().map(|ClaimRequest { key, owner, .. }| Held { key, owner, token, hop: 0 });
        (held.collect(), together)
    }

    /// Claims and ends a batch, in one go or in two; whether it was claimed together.
    fn batch(batches: &Batches, token: u64, comes_apart: bool) -> bool {
        let (held, together) = claim(batches, token);
        let (some, others) = held.split_at(if comes_apart { 1 } else { held.len() });
        for part in [some, others].into_iter().filter(|part| !part.is_empty()) {
            batches.over(part.iter());
        }
        together
    }

    #[test]
    fn claims_are_made_together_where_batches_end_as_a_whole() {
        let batches = Batches::default();
        let together: Vec<_> = (0..6).map(|token| batch(&batches, token, false)).collect();
        assert_eq!(together, [false, false, false, false, true, true]);
        // However many were whole before.
        assert!((6..100).all(|token| batch(&batches, token, false)));
        assert!((100..104).any(|token| !batch(&batches, token, true)));
        assert!((104..140).all(|token| !batch(&batches, token, true)), "nothing ends as a whole");
    }

    #[test]
    fn each_batch_counts_that_comes_apart_or_that_the_server_does_not_end_as_a_whole() {
        let full = || {
            let batches = Batches::default();
            assert_eq!((0..8).filter(|token| batch(&batches, *token, false)).count(), 4);
            batches
        };
        let batches = full();
        let ((one, _), (other, _)) = (claim(&batches, 8), claim(&batches, 9));
        batches.over(one[..2].iter().chain(&other[..2]));
        assert!(!claim(&batches, 10).1, "two that end in one call are two");

        let batches = full();
        for token in 8..10 {
            let (held, together) = claim(&batches, token);
            assert!(together);
            batches.refused(token);
            batches.over(held.iter());
        }
        assert!(!claim(&batches, 10).1, "nobody ended them as a whole");
    }

    #[test]
    fn one_batch_that_comes_apart_now_and_then_does_not_matter() {
        let batches = Batches::default();
        let together = (0..8).filter(|token| batch(&batches, *token, false)).count();
        assert_eq!(together, 4);
        assert!((8..100).all(|token| batch(&batches, token, token % 10 == 0)));
    }
}
