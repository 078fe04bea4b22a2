//! A lane of which a batch has some records.

use std::{collections::VecDeque, mem::take};

use crate::pipeline::lanes::{Delivered, Lane};

/// A lane whose turn it is.
pub(super) struct AtWork {
    pub(super) lane: Lane,
    /// Of its records that come after those of this batch: they go back.
    pub(super) later: VecDeque<Delivered>,
    /// Of its records that cannot run in this batch any more, and lie before the later ones.
    pub(super) back: VecDeque<Delivered>,
    /// How many of its events are in this batch.
    pub(super) events: usize,
    /// A record has left the batch and holds the lane; no other may leave it, or run.
    pub(super) is_held: bool,
}

impl AtWork {
    pub(super) fn new(lane: Lane) -> Self {
        Self { lane, later: VecDeque::new(), back: VecDeque::new(), events: 0, is_held: false }
    }

    /// What goes back to the beginning of the lane.
    pub(super) fn take_back(&mut self) -> VecDeque<Delivered> {
        let mut back = take(&mut self.back);
        back.append(&mut self.later);
        back
    }
}
