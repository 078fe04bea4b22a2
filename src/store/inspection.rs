//! What a store knows of one key, for a person who looks into it and may let it be forgotten.

use std::time::Duration;

use super::{End, Owner, StoreKey};

/// The answer to a look at one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inspected {
    /// Nothing: it was never claimed, or its retention is over.
    Unknown,
    /// What is known.
    Known(Known),
    /// The store holds a value that this version cannot read.
    Foreign,
}

/// What is known of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// How it stands.
    pub state: KnownState,
    /// The fencing token of the last claim; `None` for an end in short ([`Layout::Compact`](super::Layout::Compact)).
    pub token: Option<u64>,
    /// Attempts as last written; at most 99 once it is done or dead, and `None` for an end in short.
    pub attempts: Option<u32>,
    /// How often it was taken over after a lease ran out; `None` once it has ended, for it is kept no longer.
    pub takeovers: Option<u32>,
    /// When it failed for the first time, in milliseconds since 1970; `None` once it is done or dead.
    pub first_failure_ms: Option<i64>,
    /// What the event's content hashes to, for handlers that compare it.
    pub fingerprint: Option<u64>,
    /// How often it had been sent on when it was last claimed; 0 of an event that is done, for which it means nothing.
    pub hop: u32,
    /// How long the record is remembered from now, to the end of what an end in short is rounded up to; `None` for
    /// ever, which no worker asks for.
    pub remembered: Option<Duration>,
    /// Tells this record from any that comes after it.
    pub stamp: Stamp,
}

/// How a known key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownState {
    /// Somebody holds the claim.
    Claimed {
        /// Which delivery.
        owner: Owner,
        /// What is left of the lease; nothing when it ran out and nobody has taken over yet.
        left: Duration,
    },
    /// Given back; nobody may claim it for so long.
    Waiting {
        /// What is left of the delay.
        left: Duration,
    },
    /// It is finished.
    Ended(End),
}

/// Tells one version of a record from every other, and means nothing else. Of ends in short it tells as much as they
/// keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(pub(crate) String);

/// Asks to forget one key as it was seen.
#[derive(Debug, Clone)]
pub struct Forget {
    /// What is to be forgotten.
    pub key: StoreKey,
    /// How it was seen: what has changed since is kept.
    pub stamp: Stamp,
}

/// The answer to a [`Forget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forgotten {
    /// The store does not know the key, by this request or before it: the event may take effect again.
    Forgotten,
    /// A lease runs: the event is being worked on. Nothing was forgotten.
    Busy {
        /// What is left of the lease, by the store's clock.
        left: Duration,
    },
    /// It is not what was seen any more. Nothing was forgotten.
    Changed,
    /// The store holds a value that this version cannot read. Nothing was forgotten.
    Foreign,
}
