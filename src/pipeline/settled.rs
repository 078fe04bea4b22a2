//! The proof that a record needs no more work.

/// A record that needs no more work here: it took effect, was skipped, is a duplicate, or its dead letter or its copy for
/// later is acknowledged by the broker.
///
/// Only the pipeline makes one, and [`Tracker::settle`](super::commit::Tracker::settle) takes nothing else,
/// so that committing unfinished work does not compile:
///
/// ```compile_fail,E0451
/// let mut tracker = oncewise::pipeline::commit::Tracker::starting_at(7, 0);
/// tracker.deliver(0, None);
/// tracker.settle(oncewise::pipeline::Settled { epoch: 7, offset: 0, how: oncewise::pipeline::How::Done });
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    epoch: u64,
    offset: i64,
    how: How,
}

/// How a record came to need no more work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The handler did its work.
    Done,
    /// There was nothing to do: the handler said so, or the record is a tombstone.
    Skipped,
    /// The event had been settled by another delivery.
    Duplicate,
    /// In the dead-letter topic, acknowledged.
    DeadLettered,
    /// In the dead-letter topic since another delivery; for a person to send back.
    WasDead,
    /// To be tried later: a copy that waits is acknowledged.
    Deferred,
    /// A copy that another delivery has sent on is what counts: it waits, or is being worked on.
    WasMoved,
    /// A replay met an event whose handler is not to be replayed.
    LeftOut,
}

impl Settled {
    pub(super) fn new(epoch: u64, offset: i64, how: How) -> Self {
        Self { epoch, offset, how }
    }

    /// The assignment of the partition that this work belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The record's offset.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// How it came about.
    #[must_use]
    pub fn how(&self) -> How {
        self.how
    }
}
