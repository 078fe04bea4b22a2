//! How long records take from when they were due to be sent to their effect.

use std::{
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// Lists, so that threads seldom wait for each other.
const LISTS: usize = 16;

/// Delays as they come in, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Delays([Mutex<Vec<u64>>; LISTS]);

/// What half of the records, 99 % and 99.9 % of them stay below, and the longest of all, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Delay {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl Delays {
    pub(crate) fn add(&self, us: u64) {
        self.0[us as usize % LISTS].lock().unwrap_or_else(PoisonError::into_inner).push(us);
    }

    /// `None` where nothing was measured.
    pub(crate) fn seen(&self) -> Option<Delay> {
        let lists = self.0.iter().map(|list| list.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let mut all: Vec<u64> = lists.flatten().collect();
        all.sort_unstable();
        let last = all.len().checked_sub(1)?;
        let below = |permille: usize| all[last * permille / 1000] as f64 / 1000.0;
        Some(Delay { p50_ms: below(500), p99_ms: below(990), p999_ms: below(999), max_ms: below(1000) })
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}
