//! The digests of a whole ledger in memory: 16 bytes each.

use crate::store::End;

/// Unsorted digests are sorted in at least that many at a time.
const CHUNK: usize = 1 << 16;

/// How events ended, by the digests of their keys.
///
/// Ten million events take 160 MB, while they are read and after.
#[derive(Debug, Default)]
pub(crate) struct Known {
    done: Digests,
    dead: Digests,
}

impl Known {
    pub(super) fn add(&mut self, digest: u128, end: End) {
        match end {
            End::Done => self.done.add(digest),
            End::Dead => self.dead.add(digest),
        }
    }

    /// Nothing comes after this.
    pub(super) fn finish(&mut self) {
        self.done.finish();
        self.dead.finish();
    }

    /// How an event ended. A dead one that was sent back and took effect then is done.
    pub(crate) fn find(&self, digest: u128) -> Option<End> {
        let knows = |digests: &Digests| digests.sorted.binary_search(&digest).is_ok();
        if knows(&self.done) { Some(End::Done) } else { knows(&self.dead).then_some(End::Dead) }
    }

    /// How many events are known.
    pub(crate) fn len(&self) -> usize {
        self.done.sorted.len() + self.dead.sorted.len()
    }
}

#[derive(Debug, Default)]
struct Digests {
    sorted: Vec<u128>,
    /// Repetitions are taken out at this length, so that a topic not compacted yet costs no more than its keys.
    sort_at: usize,
}

impl Digests {
    fn add(&mut self, digest: u128) {
        self.sorted.push(digest);
        if self.sorted.len() >= self.sort_at.max(CHUNK) {
            self.sort();
            self.sort_at = self.sorted.len() * 2;
        }
    }

    fn sort(&mut self) {
        self.sorted.sort_unstable();
        self.sorted.dedup();
    }

    fn finish(&mut self) {
        self.sort();
        self.sorted.shrink_to_fit();
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
            (0..100_000)
                .for_each(|n| known.add(digest(n), if n % 10 == round { End::Dead } else { End::Done }));
        }
        known.add(digest(100_000), End::Dead);
        assert!(known.done.sorted.capacity() < 300_000, "{}", known.done.sorted.capacity());
        known.finish();
        assert!((0..100_000).all(|n| known.find(digest(n)) == Some(End::Done)), "done counts before dead");
        assert_eq!(known.find(digest(100_000)), Some(End::Dead));
        assert_eq!(known.find(digest(100_001)), None);
        assert_eq!(known.done.sorted.capacity(), 100_000);
    }
}
