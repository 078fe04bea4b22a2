//! All chance of a schedule, from its seed.

use std::{cell::RefCell, ops::Range, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};

/// What draws. Two that were made alike draw alike.
#[derive(Debug)]
pub(super) struct Dice(StdRng);

impl Dice {
    /// Those of a seed, for one purpose: what one draws does not move the others.
    pub(super) fn of(seed: u64, purpose: u64) -> Self {
        Self(StdRng::seed_from_u64(seed.wrapping_mul(31).wrapping_add(purpose)))
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0.random_range(0..end.max(1))
    }

    /// `true` in so many of a thousand draws.
    pub(super) fn thousandths(&mut self, chance: u32) -> bool {
        chance > 0 && self.0.random_range(0..1000) < chance
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.0.random_range(range))
    }
}

thread_local! {
    static JITTER: RefCell<Dice> = RefCell::new(Dice::of(0, 0));
}

/// From now on [`jitter`] draws for this seed on this thread.
pub(super) fn seed_jitter(seed: u64) {
    JITTER.set(Dice::of(seed, 3));
}

/// The jitter of the pipeline's delays, `0.0..1.0`.
pub(super) fn jitter() -> f64 {
    JITTER.with_borrow_mut(|dice| dice.0.random())
}
