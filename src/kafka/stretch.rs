//! A part of a log, and how far it is read.

use std::time::Instant;

/// A part of one partition: `begin` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) partition: i32,
    pub(crate) begin: i64,
    pub(crate) end: i64,
    /// Where the log ended when this end was told, or later: no broker that knows of less is believed to have it all.
    pub(crate) log_end: i64,
}

/// A partition that is still read.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) stretch: Stretch,
    /// The offset after the last that was handed out.
    pub(super) next: i64,
    /// The broker had no more, and this is not the end yet.
    pub(super) short: Option<Short>,
}

/// What is done where a broker has less than there was.
#[derive(Debug)]
pub(super) enum Short {
    /// Waits since then until the broker has it all.
    Since(Instant),
    /// It has, and what comes from it is fetched anew: if that is nothing, then there is nothing.
    FetchedAnew,
}

impl Place {
    /// Whether there is no more where a broker has no more.
    pub(super) fn is_over(&self) -> bool {
        self.stretch.end <= self.next || matches!(self.short, Some(Short::FetchedAnew))
    }
}
