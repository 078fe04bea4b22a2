//! How far back a store's memory of one handler's events reaches. Pure: the present is passed in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{StoreReport, millis};

/// What is told a moment too late, for clocks that differ and work that was under way.
pub(crate) const MARGIN_MS: i64 = 60_000;

/// Since when the store has remembered every event that a handler finished, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Milliseconds since 1970: what was finished before is not known for certain. 0 where nothing was.
    since_ms: i64,
    ttl_ms: u64,
    /// The process and the history of the store that say so.
    run_id: Option<String>,
    replication_id: Option<String>,
}

impl Remembered {
    /// A handler that has never finished anything, so that there is nothing to have forgotten.
    pub(crate) fn from_the_start(ttl: Duration, store: &StoreReport) -> Self {
        Self::since(0, ttl, store)
    }

    /// A store that may have forgotten everything up to now.
    pub(crate) fn from_now(now_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        Self::since(now_ms, ttl, store)
    }

    fn since(since_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        let StoreReport { run_id, replication_id, .. } = store;
        let (run_id, replication_id) = (run_id.clone(), replication_id.clone());
        Self { since_ms, ttl_ms: millis(ttl), run_id, replication_id }
    }

    /// The same after another look. Another process or another history of the store may have forgotten what was not
    /// saved; a longer TTL does not bring back what ran out under the shorter one.
    pub(crate) fn seen_again(&self, now_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        let same = self.run_id == store.run_id && self.replication_id == store.replication_id;
        let outlived = now_ms.saturating_sub_unsigned(self.ttl_ms);
        let since_ms = match same {
            false => now_ms,
            true if millis(ttl) > self.ttl_ms => self.since_ms.max(outlived),
            true => self.since_ms,
        };
        Self::since(since_ms, ttl, store)
    }

    /// What is younger than this, and not known to the store, was never finished. In milliseconds since 1970.
    pub(crate) fn horizon_ms(&self, now_ms: i64) -> i64 {
        let outlived = now_ms.saturating_sub_unsigned(self.ttl_ms);
        self.since_ms.max(outlived).saturating_add(MARGIN_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;
    const NOW: i64 = 1_000 * HOUR;
    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn store(run_id: &str) -> StoreReport {
        StoreReport { run_id: Some(run_id.to_owned()), ..StoreReport::default() }
    }

    #[test]
    fn memory_reaches_back_for_its_ttl_and_not_beyond_its_beginning() {
        let of_old = Remembered::from_the_start(DAY, &store("a"));
        assert_eq!(of_old.horizon_ms(NOW), NOW - 24 * HOUR + MARGIN_MS);
        let fresh = Remembered::from_now(NOW - HOUR, DAY, &store("a"));
        assert_eq!(fresh.horizon_ms(NOW), NOW - HOUR + MARGIN_MS);
        assert_eq!(fresh.horizon_ms(NOW + 48 * HOUR), NOW + 24 * HOUR + MARGIN_MS);
    }

    #[test]
    fn a_longer_ttl_does_not_bring_back_what_ran_out() {
        let short = Remembered::from_the_start(DAY, &store("a"));
        let long = short.seen_again(NOW, 8 * DAY, &store("a"));
        assert_eq!(long.horizon_ms(NOW + HOUR), NOW - 24 * HOUR + MARGIN_MS);
        let short_again = long.seen_again(NOW + HOUR, DAY, &store("a"));
        assert_eq!(short_again.horizon_ms(NOW + HOUR), NOW - 23 * HOUR + MARGIN_MS);
    }

    #[test]
    fn another_process_or_history_of_the_store_may_have_forgotten() {
        let before = Remembered::from_the_start(DAY, &store("a"));
        assert_eq!(before.seen_again(NOW, DAY, &store("a")), before);
        assert_eq!(before.seen_again(NOW, DAY, &store("b")), Remembered::from_now(NOW, DAY, &store("b")));
        let failed_over = StoreReport { replication_id: Some("x".to_owned()), ..store("a") };
        assert_eq!(before.seen_again(NOW, DAY, &failed_over).horizon_ms(NOW), NOW + MARGIN_MS);
    }
}
