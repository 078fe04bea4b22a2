//! Random sequences of operations, written so that any part of one is a sequence too.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::store::{End, Run};

const KEYS: usize = 3;
pub(super) const OWNERS: usize = 3;
const STEPS: usize = 40;
const LARGEST_BATCH: usize = 4;

/// A claim by number: which of the tokens ever granted for the key, newest first; one beyond them was never granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Holder {
    pub(super) key: usize,
    pub(super) owner: usize,
    pub(super) token: usize,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Claim(Vec<ClaimItem>),
    Renew(Vec<RenewItem>),
    Complete(Vec<CompleteItem>),
    Release(Vec<ReleaseItem>),
    Expire(usize),
    Lose(usize),
    Corrupt(usize),
    Inspect(Vec<usize>),
    /// Forgets a key as it was last inspected.
    Forget(usize),
    /// Sends the last operation again, as after a lost reply.
    Repeat,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimItem {
    pub(super) key: usize,
    pub(super) owner: usize,
    pub(super) max_deliveries: u32,
    pub(super) fingerprint: Option<u64>,
    pub(super) hop: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct RenewItem {
    pub(super) holder: Holder,
    pub(super) attempts: u32,
    pub(super) first_failure_ms: Option<i64>,
    pub(super) run: Run,
    pub(super) fingerprint: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct CompleteItem {
    pub(super) holder: Holder,
    pub(super) end: End,
    pub(super) attempts: u32,
    pub(super) first_failure_ms: Option<i64>,
    pub(super) fingerprint: Option<u64>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct ReleaseItem {
    pub(super) holder: Holder,
    pub(super) delayed: bool,
    pub(super) attempts: u32,
    pub(super) first_failure_ms: Option<i64>,
    pub(super) in_doubt: bool,
}

/// The sequence of a seed, always the same.
pub(super) fn script(seed: u64) -> Vec<Step> {
    let mut dice = Dice(StdRng::seed_from_u64(seed));
    (0..STEPS).map(|_| dice.step()).collect()
}

struct Dice(StdRng);

impl Dice {
    fn step(&mut self) -> Step {
        match self.0.random_range(0..100) {
            0..35 => Step::Claim(self.batch(Self::claim)),
            35..55 => Step::Renew(self.batch(Self::renewal)),
            55..62 => Step::Complete(self.batch(Self::completion)),
            62..74 => Step::Release(self.batch(Self::release)),
            74..86 => Step::Expire(self.below(KEYS)),
            86..88 => Step::Lose(self.below(KEYS)),
            88 => Step::Corrupt(self.below(KEYS)),
            89..93 => Step::Inspect(self.batch(|dice| dice.below(KEYS))),
            93..96 => Step::Forget(self.below(KEYS)),
            _ => Step::Repeat,
        }
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0.random_range(0..bound)
    }

    fn batch<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.0.random_range(1..=LARGEST_BATCH)).map(|_| item(self)).collect()
    }

    fn holder(&mut self) -> Holder {
        // Mostly the newest token, for otherwise hardly anything would ever be ours.
        let token = if self.0.random_bool(0.8) { 0 } else { self.below(4) };
        Holder { key: self.below(KEYS), owner: self.below(OWNERS), token }
    }

    fn hop(&mut self) -> u32 {
        [0, 0, 0, 1, 1, 2][self.below(6)]
    }

    fn fingerprint(&mut self) -> Option<u64> {
        [None, None, None, Some(1), Some(1), Some(u64::MAX)][self.below(6)]
    }

    fn first_failure_ms(&mut self) -> Option<i64> {
        [None, Some(0), Some(1_700_000_000_000), Some(-1)][self.below(4)]
    }

    fn claim(&mut self) -> ClaimItem {
        ClaimItem {
            key: self.below(KEYS),
            owner: self.below(OWNERS),
            max_deliveries: self.0.random_range(0..3),
            fingerprint: self.fingerprint(),
            hop: self.hop(),
        }
    }

    fn renewal(&mut self) -> RenewItem {
        RenewItem {
            holder: self.holder(),
            attempts: self.0.random_range(0..9),
            first_failure_ms: self.first_failure_ms(),
            run: [Run::Unknown, Run::InCrowd, Run::Alone][self.below(3)],
            fingerprint: self.fingerprint(),
        }
    }

    fn completion(&mut self) -> CompleteItem {
        CompleteItem {
            holder: self.holder(),
            end: [End::Done, End::Dead, End::Moved][self.below(3)],
            attempts: self.0.random_range(0..9),
            first_failure_ms: self.first_failure_ms(),
            fingerprint: self.fingerprint(),
        }
    }

    fn release(&mut self) -> ReleaseItem {
        ReleaseItem {
            holder: self.holder(),
            delayed: self.0.random_bool(0.5),
            attempts: self.0.random_range(0..9),
            first_failure_ms: self.first_failure_ms(),
            in_doubt: self.0.random_bool(0.3),
        }
    }
}
