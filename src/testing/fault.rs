//! What goes wrong, and when.

use std::{fmt, time::Duration};

/// What goes wrong at a [`Moment`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The process dies, as by `kill -9`: nothing of it runs on, nothing is cleaned up or given back. Another one
    /// starts with what had been committed.
    Crash,
    /// The process stands still until its leases have run out and another one has finished what it had begun, or
    /// waits for what it holds, such as a transaction. Then it wakes up and goes on as if nothing had happened.
    Stall,
    /// The handler hangs until its time limit cuts it off. Possible at the moments of a handler only.
    TimeOut,
    /// The dedupe store cannot be reached for this long.
    StoreDown(Duration),
    /// The dedupe store forgets everything.
    StoreLost,
    /// The broker takes nothing for this long: neither dead letters nor events out.
    BrokerDown(Duration),
}

/// A point on the way of a record. What goes wrong there does so the first time that any record reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Moment {
    /// Before the store is asked for the claim.
    BeforeClaim,
    /// The store has granted the claim, and the worker has not heard it.
    AfterClaim,
    /// Before the handler begins.
    BeforeHandler,
    /// Where one run of the handler waits for something for the n-th time, from 1. A handler that never waits has no
    /// such moment.
    InHandler(usize),
    /// The handler has returned `Ok`; nothing else has happened yet.
    AfterEffect,
    /// Before the broker gets what the handler has published.
    BeforePublish,
    /// The broker has what the handler has published, and the worker has not heard it.
    AfterPublish,
    /// Before the broker gets a dead letter.
    BeforeDeadLetter,
    /// The broker has the dead letter, and the worker has not heard it.
    AfterDeadLetter,
    /// The claim is given back and the event waits for its next attempt.
    InBackoff,
    /// Before the store is told that the event is finished.
    BeforeCompletion,
    /// The store knows that the event is finished, and the worker has not heard it.
    AfterCompletion,
    /// The record is settled, and its offset not committed.
    BeforeCommit,
}

impl Moment {
    /// Whether the handler, or what stands for it, runs.
    pub(super) fn is_in_handler(self) -> bool {
        matches!(self, Self::BeforeHandler | Self::InHandler(_) | Self::AfterEffect)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Crash => f.write_str("the process dies"),
            Self::Stall => f.write_str("the process stands still and another one takes over"),
            Self::TimeOut => f.write_str("the handler is cut off by its time limit"),
            Self::StoreDown(time) => write!(f, "the store is away for {time:?}"),
            Self::StoreLost => f.write_str("the store forgets everything"),
            Self::BrokerDown(time) => write!(f, "the broker is away for {time:?}"),
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeClaim => "before the event is claimed",
            Self::AfterClaim => "right after the event is claimed",
            Self::BeforeHandler => "before the handler begins",
            Self::InHandler(times) => return write!(f, "in the handler, at its {}", Ordinal(*times)),
            Self::AfterEffect => "after the handler has returned",
            Self::BeforePublish => "before its events are published",
            Self::AfterPublish => "after its events are published",
            Self::BeforeDeadLetter => "before the dead letter is written",
            Self::AfterDeadLetter => "after the dead letter is written",
            Self::InBackoff => "while the event waits for its next attempt",
            Self::BeforeCompletion => "before the event is marked as done",
            Self::AfterCompletion => "after the event is marked as done",
            Self::BeforeCommit => "before the offset is committed",
        })
    }
}

/// `1st wait`, `2nd wait`.
struct Ordinal(usize);

impl fmt::Display for Ordinal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match (self.0 % 10, self.0 % 100) {
            (1, rest) if rest != 11 => "st",
            (2, rest) if rest != 12 => "nd",
            (3, rest) if rest != 13 => "rd",
            _ => "th",
        };
        write!(f, "{}{ending} wait", self.0)
    }
}
