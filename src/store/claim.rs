use std::time::Duration;

use super::{Owner, StoreKey};

/// So much before a lease ends, counted from when it was asked for, its owner no longer relies on it: clocks drift,
/// and a store may know its own time only so well.
pub const LEASE_MARGIN: Duration = Duration::from_millis(100);

/// Asks for one claim.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// What is claimed.
    pub key: StoreKey,
    /// Which delivery asks.
    pub owner: Owner,
    /// How long the claim holds without a renewal; see [`LEASE_MARGIN`].
    pub lease: Duration,
    /// How long the record is remembered after its last change; one of a finished event after its last duplicate, too.
    pub retention: Duration,
    /// How many deaths of a process that ran this key alone make it [`Claim::Spent`]; 0 counts as 1.
    pub max_deliveries: u32,
    /// What the event's content hashes to, for handlers that compare it.
    pub fingerprint: Option<u64>,
    /// How often the event was sent on by us (to be tried later, or again) before this delivery of it: 0 for what
    /// producers sent. An event belongs to the delivery that was sent on most often: to such a one, what was moved or
    /// dead-lettered before is open again, and to all others it is not.
    pub hop: u32,
}

/// The right to run a handler, with what is known of earlier runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// The fencing token: grows with every new owner of a key, below 2^53.
    pub token: u64,
    /// Attempts of earlier deliveries, as last written by a renewal, a release or a completion.
    pub attempts: u32,
    /// How often the key was taken over after a lease ran out: the first time, and each time that a renewal had
    /// said that its handler runs. What only waited beside the event that kills does not come under suspicion.
    pub takeovers: u32,
    /// When the event failed for the first time, in milliseconds since 1970, as last written.
    pub first_failure_ms: Option<i64>,
}

impl Grant {
    /// Whether nobody has tried before, nor died over it.
    pub(crate) fn is_first(&self) -> bool {
        self.attempts == 0 && self.takeovers == 0
    }
}

/// The answer to a [`ClaimRequest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The asker may run the handler.
    Won(Grant),
    /// The asker may run it, after the lease of an owner before ran out, which nobody has looked into since: the
    /// effect may have happened.
    TakenOver(Grant),
    /// The event took effect before.
    Done,
    /// The event is in the dead-letter topic.
    Dead,
    /// The event was sent on: a copy of it, which waits or is being worked on, is what counts.
    Moved,
    /// Another delivery holds the claim.
    Busy {
        /// What is left of its lease, by the store's clock.
        left: Duration,
    },
    /// The event failed and is not due yet.
    BackingOff {
        /// What is left of the delay, by the store's clock.
        left: Duration,
    },
    /// The event killed the processes that ran it alone. The asker holds the claim, to dead-letter and complete it.
    Spent(Grant),
    /// The key is known with another fingerprint: somebody has reused an id. Nothing was written.
    Mismatch {
        /// The hop of what is known, unless it took effect: whoever sends this event on goes beyond it.
        hop: u32,
    },
    /// The store holds a value that this version cannot read. It is never overwritten.
    Foreign,
}
