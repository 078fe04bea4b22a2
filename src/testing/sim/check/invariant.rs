//! What must hold, under the names that the reliability research gave it.

use std::fmt;

use crate::testing::sim::{history::Place, plan::Id};

/// What must never be otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Invariant {
    /// Below a committed offset everything has taken effect, is dead-lettered, or was not to be handled.
    I1NothingLost,
    /// Only the owner of a partition commits, never backwards, never past the end.
    I2CommitsByOwner,
    /// Effects ≤ 1 + crashes between effect and completion + leases that ran out under a live handler + attempts that
    /// did not end well after their effect + losses of the store.
    I3EffectsBounded,
    /// An event is finished by one claim, unless the store forgot it.
    I4OneEnd,
    /// One live lease for each event; tokens grow.
    I5OneLease,
    /// As many letters as crashes and unheard acknowledgements explain; nothing is finished without its effect or letter.
    I6LettersBounded,
    /// Events of one key begin in the order of their offsets.
    I7KeyOrder,
    /// A letter is the record byte for byte.
    I8LetterWhole,
    /// Once nothing goes wrong any more, everything is settled and committed in bounded time.
    L1Settled,
}

/// An invariant that did not hold, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) invariant: Invariant,
    pub(crate) id: Option<Id>,
    pub(crate) place: Option<Place>,
    pub(crate) why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.why)
    }
}
