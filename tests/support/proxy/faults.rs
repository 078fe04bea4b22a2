//! What is wrong with a wire.

use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    There = 0,
    /// From the server to the client.
    Back = 1,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

/// All that may be wrong at once. Connections are numbered from 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults {
    pub(super) latency: Duration,
    pub(super) bytes_per_second: Option<u32>,
    pub(super) slice: Option<usize>,
    /// By direction.
    pub(super) held: [bool; 2],
    pub(super) black_hole: bool,
    /// Connections up to this number carry nothing any more.
    pub(super) stalled: u64,
    pub(super) cut: u64,
    pub(super) reset: u64,
    pub(super) losing: bool,
    /// So many bytes of replies still arrive on each connection.
    pub(super) replies: Option<usize>,
    /// Seconds by which a Redis behind it seems to be ahead of itself.
    pub(super) ahead: i64,
}

impl Faults {
    pub(super) fn ends(&self, number: u64) -> Option<End> {
        if number <= self.reset {
            Some(End::Reset)
        } else if number <= self.cut {
            Some(End::Closed)
        } else {
            None
        }
    }

    pub(super) fn swallows(&self, direction: Direction, number: u64) -> bool {
        let lost = self.losing && direction == Direction::Back;
        self.black_hole || number <= self.stalled || lost
    }
}
