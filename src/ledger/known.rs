//! The digests of a whole partition of the ledger in memory: 16 bytes each.

use std::collections::HashMap;

use super::Said;

/// Unsorted digests are sorted in at least that many at a time.
const CHUNK: usize = 1 << 16;

/// What is said of events, by the digests of their keys.
///
/// Ten million events take 160 MB, while they are read and after.
#[derive(Debug, Default)]
pub(crate) struct Known {
    done: Digests,
    dead: Digests,
    begun: Digests,
    /// Entries that were taken away, and what has been said since.
    changed: HashMap<u128, Option<Said>>,
}

impl Known {
    /// In the order of the partition; nothing where an entry is taken away.
    pub(super) fn add(&mut self, digest: u128, said: Option<Said>) {
        match (self.changed.get_mut(&digest), said) {
            (_, None) => drop(self.changed.insert(digest, None)),
            (Some(before), Some(_)) => *before = said.max(*before),
            (None, Some(Said::Done)) => self.done.add(digest),
            (None, Some(Said::Dead)) => self.dead.add(digest),
            (None, Some(Said::Begun)) => self.begun.add(digest),
        }
    }

    /// Nothing comes after this, for now.
    pub(super) fn finish(&mut self) {
        [&mut self.done, &mut self.dead, &mut self.begun].into_iter().for_each(Digests::finish);
    }

    /// The strongest of what is said of an event. A dead one that was sent back and took effect then is done.
    pub(crate) fn find(&self, digest: u128) -> Option<Said> {
        if let Some(said) = self.changed.get(&digest) {
            return *said;
        }
        let all = [(&self.done, Said::Done), (&self.dead, Said::Dead), (&self.begun, Said::Begun)];
        all.into_iter().find(|(digests, _)| digests.has(digest)).map(|(_, said)| said)
    }

    /// How many entries it takes memory for.
    pub(crate) fn len(&self) -> usize {
        self.done.len() + self.dead.len() + self.begun.len() + self.changed.len()
    }
}

#[derive(Debug, Default)]
struct Digests {
    sorted: Vec<u128>,
    /// What has come since, sorted when it is finished.
    fresh: Vec<u128>,
}

impl Digests {
    fn add(&mut self, digest: u128) {
        self.fresh.push(digest);
        // Repetitions are taken out when there is as much again, so that a topic not compacted yet costs no more than
        // its keys.
        if self.fresh.len() >= self.sorted.len().max(CHUNK) {
            self.merge();
        }
    }

    fn merge(&mut self) {
        self.sorted.append(&mut self.fresh);
        self.sorted.sort_unstable();
        self.sorted.dedup();
    }

    fn finish(&mut self) {
        if self.fresh.len() * 8 >= self.sorted.len() {
            self.merge();
            self.sorted.shrink_to_fit();
        }
        self.fresh.sort_unstable();
        self.fresh.dedup();
        self.fresh.shrink_to_fit();
    }

    fn has(&self, digest: u128) -> bool {
        self.sorted.binary_search(&digest).is_ok() || self.fresh.binary_search(&digest).is_ok()
    }

    fn len(&self) -> usize {
        self.sorted.len() + self.fresh.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_found_once_however_often_it_was_written() {
        let mut known = Known::default();
        let digest = |n: u128| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for round in 0..4 {
            let said = |n| Some(if n % 10 == round { Said::Dead } else { Said::Done });
            (0..100_000).for_each(|n| known.add(digest(n), said(n)));
        }
        known.add(digest(100_000), Some(Said::Dead));
        assert!(known.done.sorted.capacity() < 300_000, "{}", known.done.sorted.capacity());
        known.finish();
        assert!((0..100_000).all(|n| known.find(digest(n)) == Some(Said::Done)), "done counts before dead");
        assert_eq!(known.find(digest(100_000)), Some(Said::Dead));
        assert_eq!(known.find(digest(100_001)), None);
        assert_eq!(known.done.sorted.capacity(), 100_000);

        // What comes later is found, too.
        known.add(digest(100_001), Some(Said::Begun));
        known.add(digest(100_002), Some(Said::Done));
        known.finish();
        assert_eq!([100_001, 100_002].map(|n| known.find(digest(n))), [Some(Said::Begun), Some(Said::Done)]);
        assert!(known.done.fresh.len() == 1 && known.find(digest(0)) == Some(Said::Done));
    }

    #[test]
    fn what_was_taken_away_is_not_there_until_it_is_written_again() {
        let mut known = Known::default();
        let steps = [Some(Said::Done), None, Some(Said::Begun), Some(Said::Dead), Some(Said::Begun), None];
        let found = steps.map(|said| {
            known.add(7, said);
            known.finish();
            known.find(7)
        });
        let (done, begun, dead) = (Some(Said::Done), Some(Said::Begun), Some(Said::Dead));
        assert_eq!(found, [done, None, begun, dead, dead, None]);
    }
}
