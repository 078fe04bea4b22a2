//! What became of the records in a range.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Records by what became of them, or, of a dry run, by what would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Took effect now; in a dry run, would.
    pub ran: u64,
    /// Had taken effect before.
    pub already_done: u64,
    /// Became dead letters now.
    pub dead_lettered: u64,
    /// Were dead letters before: to be sent back, not to be replayed.
    pub already_dead: u64,
    /// Were being worked on, in a dry run, for a replay waits for them; or had been sent on, to be tried later.
    pub in_progress: u64,
    /// Skipped: tombstones, and what the handler had no use for.
    pub skipped: u64,
    /// Left alone, for their handler is not to be replayed.
    pub left_out: u64,
    /// Nobody knows whether they took effect.
    pub unknown: u64,
    /// Cannot be decoded, or have no key; only in a dry run.
    pub undecodable: u64,
    /// Read, but of another time than the range.
    pub outside: u64,
    /// Read, but without a time to be in the range by.
    pub timeless: u64,
}

impl Tally {
    /// All records of the range.
    #[must_use]
    pub fn in_range(&self) -> u64 {
        self.settled() + self.in_progress + self.unknown + self.undecodable
    }

    /// Those that need no more work.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.ran + self.already_done + self.dead_lettered + self.already_dead + self.skipped + self.left_out
    }

    /// Each count with its name, in the order of the table.
    #[must_use]
    pub fn columns(&self) -> [(&'static str, u64); 11] {
        [
            ("ran", self.ran),
            ("already done", self.already_done),
            ("dead-lettered", self.dead_lettered),
            ("already dead", self.already_dead),
            ("in progress", self.in_progress),
            ("skipped", self.skipped),
            ("left out", self.left_out),
            ("unknown", self.unknown),
            ("undecodable", self.undecodable),
            ("other time", self.outside),
            ("without time", self.timeless),
        ]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.ran += other.ran;
        self.already_done += other.already_done;
        self.dead_lettered += other.dead_lettered;
        self.already_dead += other.already_dead;
        self.in_progress += other.in_progress;
        self.skipped += other.skipped;
        self.left_out += other.left_out;
        self.unknown += other.unknown;
        self.undecodable += other.undecodable;
        self.outside += other.outside;
        self.timeless += other.timeless;
    }
}
