//! One event and its copies: what the store has, who has been given them, and what has happened so far.

use super::store::{Held, Record};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Phase {
    Waits,
    /// Its handler runs.
    Runs,
    /// It has taken effect.
    Worked,
    Failed,
    GivenBack,
    /// The broker has its copy.
    Copied,
    /// The broker has its letter.
    Lettered,
}

/// A delivery of the record, or of a copy of it. What is settled is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Delivery {
    pub(super) owner: u8,
    pub(super) hop: u8,
    pub(super) phase: Phase,
    pub(super) token: u8,
    /// It has no reason to think that its lease is over.
    pub(super) is_live: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct State {
    pub(super) store: Record,
    pub(super) deliveries: Vec<Delivery>,
    pub(super) owners: u8,
    /// Letters that nobody has sent back: who wrote them, and the hops of what died.
    pub(super) letters: Vec<(u8, u8)>,
    pub(super) effects: u8,
    pub(super) explained: u8,
    pub(super) faults: u8,
    pub(super) failures: u8,
    /// It was sent on, and is not due.
    pub(super) waits: bool,
    pub(super) was_early: bool,
}

impl Delivery {
    pub(super) fn held(&self) -> Held {
        Held { owner: self.owner, token: self.token, hop: self.hop }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Runs | Phase::Worked)
    }
}

impl State {
    pub(super) fn deliver(&mut self, hop: u8) {
        self.owners += 1;
        let (owner, phase) = (self.owners, Phase::Waits);
        self.deliveries.push(Delivery { owner, hop, phase, token: 0, is_live: false });
    }

    pub(super) fn of(&mut self, owner: u8) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.owner == owner)
    }

    pub(super) fn settle(&mut self, owner: u8) {
        self.deliveries.retain(|delivery| delivery.owner != owner);
    }

    /// The lease in the store is over. Whether its holder is there.
    pub(super) fn run_out(&mut self) -> bool {
        let Record::Leased { owner, has_run_out, .. } = &mut self.store else { return false };
        let (owner, _) = (*owner, std::mem::replace(has_run_out, true));
        self.of(owner).map(|delivery| delivery.is_live = false).is_some()
    }

    /// Time for several renewals: whoever's claim has ended knows.
    pub(super) fn renew(&mut self) {
        let store = self.store;
        self.deliveries.iter_mut().for_each(|delivery| delivery.is_live &= store.is_held(delivery.held()));
    }
}
