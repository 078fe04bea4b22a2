//! Where everything stands, and what must always hold.

use crate::protocol::{Entry, Owner};

/// The key of each offset.
pub(crate) const KEYS: [usize; 3] = [0, 1, 0];
/// How many keys there are.
pub(crate) const NUMBER: usize = 2;

pub(crate) const LOST: &str = "what is committed took effect or is dead-lettered";
pub(crate) const OVER_THE_BOUND: &str = "effects ≤ 1 + crashes + leases that ran out + failures + losses";
pub(crate) const TOKENS_GROW: &str = "tokens grow";
pub(crate) const TWO_LEASES: &str = "one live lease for each key";
pub(crate) const NEVER_STUCK: &str = "nobody is stuck before everything is committed";
pub(crate) const ENDS: &str = "everything is committed";

/// What went wrong so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Faults {
    pub(crate) all: u8,
    pub(crate) crashes: u8,
    pub(crate) rebalances: u8,
    pub(crate) expiries: u8,
    pub(crate) losses: u8,
    pub(crate) failures: u8,
    pub(crate) lost_replies: u8,
}

/// One partition, two workers, the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct State {
    /// Who has the partition.
    pub(crate) owner: u8,
    /// Counts the assignments.
    pub(crate) epoch: u8,
    pub(crate) committed: u8,
    /// In order, so that two that are alike are the same.
    pub(crate) jobs: Vec<Job>,
    pub(crate) store: [Entry; NUMBER],
    pub(crate) effects: [u8; NUMBER],
    pub(crate) letters: [u8; NUMBER],
    /// Effects beyond the first that the faults so far explain.
    pub(crate) explained: [u8; NUMBER],
    pub(crate) highest_token: [u8; NUMBER],
    pub(crate) token_fell: bool,
    pub(crate) faults: Faults,
}

/// A delivery at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Job {
    /// Worker, assignment, offset.
    pub(crate) owner: Owner,
    pub(crate) phase: Phase,
    pub(crate) token: u8,
    /// The worker has no reason to think that its lease is over.
    pub(crate) is_live: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It has read a lease that ran out.
    HasRead,
    /// Its handler runs.
    Claimed,
    /// It has taken effect.
    Worked,
    /// The broker has its letter.
    Lettered,
    Settled,
}

impl Job {
    pub(crate) fn key(&self) -> usize {
        KEYS[usize::from(self.owner.2)]
    }

    /// Whether it holds a claim.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Claimed | Phase::Worked | Phase::Lettered)
    }
}

impl State {
    /// The job of a delivery in the current assignment.
    pub(crate) fn job(&self, offset: u8) -> Option<&Job> {
        self.jobs.iter().find(|job| job.owner == (self.owner, self.epoch, offset))
    }

    /// The longest settled prefix.
    pub(crate) fn watermark(&self) -> u8 {
        let is_settled = |offset: &u8| self.job(*offset).is_some_and(|job| job.phase == Phase::Settled);
        (self.committed..KEYS.len() as u8).find(|offset| !is_settled(offset)).unwrap_or(KEYS.len() as u8)
    }

    pub(crate) fn nothing_is_lost(&self) -> bool {
        (0..usize::from(self.committed))
            .all(|offset| self.effects[KEYS[offset]] + self.letters[KEYS[offset]] > 0)
    }

    pub(crate) fn keeps_the_bound(&self) -> bool {
        self.effects.iter().zip(self.explained).all(|(effects, explained)| *effects <= 1 + explained)
    }

    pub(crate) fn has_one_lease(&self) -> bool {
        let live =
            |key| self.jobs.iter().filter(|job| job.key() == key && job.is_open() && job.is_live).count();
        (0..NUMBER).all(|key| live(key) <= 1)
    }

    /// Whoever works under this token.
    pub(crate) fn holder(&self, key: usize, token: u8) -> Option<&Job> {
        self.jobs.iter().find(|job| job.key() == key && job.token == token && job.is_open())
    }

    pub(crate) fn granted(&mut self, key: usize, token: u8) {
        let is_again = self.holder(key, token).is_some();
        self.token_fell |= token < self.highest_token[key] && !is_again;
        self.highest_token[key] = self.highest_token[key].max(token);
    }

    pub(crate) fn change(&mut self, owner: Owner, change: impl Fn(&mut Job)) {
        self.jobs.iter_mut().filter(|job| job.owner == owner).for_each(change);
    }

    /// A lease is over, under a live handler or a dead one.
    pub(crate) fn run_out(&mut self, key: usize, is_live: bool) {
        let Entry::Leased { owner, token, .. } = self.store[key] else { return };
        self.store[key] = Entry::Leased { owner, token, has_run_out: true };
        let of_lease = |job: &&mut Job| job.key() == key && job.token == token;
        self.jobs.iter_mut().filter(of_lease).for_each(|job| job.is_live = false);
        self.explained[key] += u8::from(is_live);
    }

    /// The other worker gets the partition. What has begun goes on.
    pub(crate) fn assign(&mut self) {
        self.owner = 1 - self.owner;
        self.epoch += 1;
        self.forget_settled();
    }

    /// What an earlier assignment has settled counts no more.
    pub(crate) fn forget_settled(&mut self) {
        let epoch = self.epoch;
        self.jobs.retain(|job| job.phase != Phase::Settled || job.owner.1 == epoch);
    }
}
