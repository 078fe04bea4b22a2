//! The store: what it keeps of a key, and what a claim, a completion and a release make of it. Ours, and those that others
//! use and that are known to be wrong.

/// How an event is kept from taking effect twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// One atomic claim with a lease and a token; a completion that is recorded whoever has the claim by then.
    Ours,
    /// `SET NX` before the work; what is there is a duplicate.
    MarkBefore,
    /// `EXISTS` before the work, `SET` after it.
    MarkAfter,
    /// Ours, except that a lease that ran out is read in one step and replaced in the next.
    GetThenSet,
    /// Ours, except that a release deletes whatever is there.
    DeletesBlindly,
    /// Ours, except that tokens are counted by what the store remembers.
    TokensFromOne,
    /// Ours, except that the lease of the dead is never over.
    LeasesForEver,
}

/// Which delivery asks: worker, assignment, offset.
pub(crate) type Owner = (u8, u8, u8);

/// What the store keeps of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Entry {
    #[default]
    Absent,
    Leased {
        owner: Owner,
        token: u8,
        has_run_out: bool,
    },
    Free {
        token: u8,
    },
    Ended {
        token: u8,
    },
}

/// The answer to a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Granted(u8),
    Duplicate,
    /// Ask again.
    Busy,
    /// The lease has run out; what was read is to be replaced in a step of its own.
    Read,
}

/// Tokens are at least this much after so many losses, as a clock would have it.
const CLOCK: u8 = 20;

impl Entry {
    /// What a claim makes of it, and the answer. `losses` stands for the store's clock.
    pub(crate) fn claim(self, protocol: Protocol, owner: Owner, losses: u8) -> (Self, Claim) {
        let clock = if protocol == Protocol::TokensFromOne { 1 } else { losses * CLOCK + 1 };
        let grant = |token| (Self::Leased { owner, token, has_run_out: false }, Claim::Granted(token));
        match (protocol, self) {
            (Protocol::MarkBefore, Self::Absent) => (Self::Ended { token: clock }, Claim::Granted(clock)),
            (Protocol::MarkAfter, Self::Absent) => (self, Claim::Granted(clock)),
            (_, Self::Absent) => grant(clock),
            (_, Self::Ended { .. }) => (self, Claim::Duplicate),
            (_, Self::Leased { owner: holder, token, .. }) if holder == owner => grant(token),
            (_, Self::Leased { has_run_out: false, .. }) => (self, Claim::Busy),
            (Protocol::GetThenSet, Self::Leased { .. }) => (self, Claim::Read),
            (_, Self::Leased { token, .. } | Self::Free { token }) => grant(clock.max(token + 1)),
        }
    }

    /// The second step of [`Claim::Read`].
    pub(crate) fn replace(self, owner: Owner, losses: u8) -> (Self, u8) {
        let token = (losses * CLOCK + 1).max(self.token() + 1);
        (Self::Leased { owner, token, has_run_out: false }, token)
    }

    /// The end of an event, recorded whatever became of the claim.
    pub(crate) fn complete(self, token: u8) -> Self {
        match self {
            Self::Ended { .. } => self,
            _ => Self::Ended { token },
        }
    }

    /// A claim that is given back.
    pub(crate) fn release(self, protocol: Protocol, token: u8) -> Self {
        match self {
            _ if matches!(protocol, Protocol::DeletesBlindly | Protocol::MarkBefore) => Self::Absent,
            Self::Leased { token: held, .. } if held == token => Self::Free { token },
            other => other,
        }
    }

    /// A renewal makes a claim again that the store has lost.
    pub(crate) fn renew(self, owner: Owner, token: u8) -> Self {
        match self {
            Self::Absent => Self::Leased { owner, token, has_run_out: false },
            other => other,
        }
    }

    fn token(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::Leased { token, .. } | Self::Free { token } | Self::Ended { token } => token,
        }
    }
}
