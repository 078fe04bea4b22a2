//! How far back a store's memory of one handler's events reaches. Pure: the present is passed in.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{StoreReport, millis};

/// What is told a moment too late, for clocks that differ and work that was under way.
pub(crate) const MARGIN_MS: i64 = 60_000;
/// How far ahead a producer's clock may be.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// Since when the store has remembered every event that a handler finished, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    /// Milliseconds since 1970: what was finished before is not known for certain. 0 where nothing was.
    since_ms: i64,
    ttl_ms: u64,
    /// What was finished under a shorter TTL is remembered for no longer than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shorter: Option<Shorter>,
    /// Nothing was finished before then, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    began_ms: Option<i64>,
    /// It is of a run over everything: the times of its events say nothing about when they were finished.
    #[serde(default)]
    is_epoch: bool,
    /// The process and the history of the store that say so.
    run_id: Option<String>,
    replication_id: Option<String>,
    /// How many keys it had dropped for want of memory by then. Nobody knows which.
    #[serde(default)]
    evicted: u64,
}

/// The TTL of what was finished until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Shorter {
    ttl_ms: u64,
    until_ms: i64,
}

impl Remembered {
    /// A handler that has never finished anything, so that there is nothing to have forgotten.
    pub(crate) fn from_the_start(now_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        Self { began_ms: Some(now_ms), ..Self::since(0, ttl, store) }
    }

    /// A store that may have forgotten everything up to now.
    pub(crate) fn from_now(now_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        Self::since(now_ms, ttl, store)
    }

    /// The same of a run over everything.
    pub(crate) fn of_epoch(self) -> Self {
        Self { is_epoch: true, ..self }
    }

    fn since(since_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        let StoreReport { run_id, replication_id, .. } = store;
        let (run_id, replication_id) = (run_id.clone(), replication_id.clone());
        Self {
            since_ms,
            ttl_ms: millis(ttl),
            shorter: None,
            began_ms: None,
            is_epoch: false,
            run_id,
            replication_id,
            evicted: store.evicted_keys.unwrap_or_default(),
        }
    }

    /// The same after another look. Another process or another history of the store may have forgotten what was not
    /// saved; a longer TTL neither brings back what ran out under the shorter one, nor keeps what was written under it.
    pub(crate) fn seen_again(&self, now_ms: i64, ttl: Duration, store: &StoreReport) -> Self {
        let (began_ms, is_epoch) = (self.began_ms, self.is_epoch);
        let has_evicted = self.evicted != store.evicted_keys.unwrap_or_default();
        if self.run_id != store.run_id || self.replication_id != store.replication_id || has_evicted {
            return Self { began_ms, is_epoch, ..Self::since(now_ms, ttl, store) };
        }
        let (mut since_ms, mut shorter) = (self.since_ms, self.shorter);
        if let Some(Shorter { ttl_ms, until_ms }) = shorter
            && until_ms <= now_ms.saturating_sub_unsigned(ttl_ms)
        {
            (since_ms, shorter) = (since_ms.max(until_ms), None);
        }
        if millis(ttl) > self.ttl_ms {
            let ttl_ms = shorter.map_or(self.ttl_ms, |shorter| shorter.ttl_ms.min(self.ttl_ms));
            shorter = Some(Shorter { ttl_ms, until_ms: now_ms });
        }
        Self { shorter, began_ms, is_epoch, ..Self::since(since_ms, ttl, store) }
    }

    /// What was finished since then has not outlived its TTL. In milliseconds since 1970.
    fn outlived_ms(&self, now_ms: i64) -> i64 {
        let outlived = now_ms.saturating_sub_unsigned(self.ttl_ms);
        self.shorter.map_or(outlived, |Shorter { ttl_ms, until_ms }| {
            outlived.max(until_ms.min(now_ms.saturating_sub_unsigned(ttl_ms)))
        })
    }

    /// A part of the TTL, for what happens between a look and what is done upon it.
    fn slack_ms(&self) -> i64 {
        MARGIN_MS.min(i64::try_from(self.ttl_ms / 2).unwrap_or(MARGIN_MS))
    }

    /// Whether an event of this time that the store does not know was certainly never finished. A time that has not
    /// come yet says nothing about when the event was handled, and no more does none; but as long as nothing at all can
    /// have been forgotten, times do not matter.
    pub(crate) fn is_certain(&self, timestamp: Option<i64>, margin_ms: i64, now_ms: i64) -> bool {
        let slack = self.slack_ms().min(margin_ms);
        let outlived = self.outlived_ms(now_ms);
        if self.began_ms.is_some_and(|began| self.since_ms <= began && outlived + slack <= began) {
            return true;
        }
        let horizon = self.since_ms.max(outlived).saturating_add(margin_ms);
        let within = horizon..=now_ms.saturating_add(CLOCKS_DIFFER_MS);
        !self.is_epoch && timestamp.is_some_and(|time| within.contains(&time))
    }

    /// When an event of this time was finished at the earliest, if it was.
    pub(crate) fn earliest(&self, timestamp: Option<i64>) -> Option<i64> {
        if self.is_epoch { self.began_ms } else { timestamp.max(self.began_ms) }
    }

    /// Whether the store has all that was finished after `read_at_ms`, and still has it when that is acted upon.
    pub(crate) fn meets(&self, read_at_ms: i64, now_ms: i64) -> bool {
        self.since_ms <= read_at_ms && self.outlived_ms(now_ms) + self.slack_ms() <= read_at_ms
    }

    #[cfg(test)]
    fn horizon_ms(&self, now_ms: i64) -> i64 {
        self.since_ms.max(self.outlived_ms(now_ms)) + MARGIN_MS
    }
}

/// What the store remembers of each handler of a service, as last looked at. Nothing is certain of those without an
/// account.
#[derive(Debug, Default)]
pub(crate) struct Reach(RwLock<Reached>);

/// What one look at the store has found.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    pub(crate) handlers: BTreeMap<String, Option<Remembered>>,
    /// How far its clock is ahead of this machine's, in milliseconds: what it remembers runs out by its own.
    pub(crate) ahead_ms: i64,
}

impl Reach {
    pub(crate) fn new(reached: Reached) -> Self {
        Self(reached.into())
    }

    pub(crate) fn set(&self, reached: Reached) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = reached;
    }

    /// The time of this machine as the store has it.
    pub(crate) fn store_ms(&self, host_ms: i64) -> i64 {
        host_ms.saturating_add(self.lock().ahead_ms)
    }

    fn lock(&self) -> RwLockReadGuard<'_, Reached> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of this handler.
    pub(crate) fn of(&self, handler: &str) -> Option<Remembered> {
        self.lock().handlers.get(handler).cloned().flatten()
    }

    /// Whether this holds for what is known of every handler.
    pub(crate) fn all(&self, holds: impl Fn(&str, Option<&Remembered>) -> bool) -> bool {
        self.lock().handlers.iter().all(|(handler, known)| holds(handler, known.as_ref()))
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
        let of_old = Remembered::from_the_start(0, DAY, &store("a"));
        assert_eq!(of_old.horizon_ms(NOW), NOW - 24 * HOUR + MARGIN_MS);
        let fresh = Remembered::from_now(NOW - HOUR, DAY, &store("a"));
        assert_eq!(fresh.horizon_ms(NOW), NOW - HOUR + MARGIN_MS);
        assert_eq!(fresh.horizon_ms(NOW + 48 * HOUR), NOW + 24 * HOUR + MARGIN_MS);
    }

    #[test]
    fn only_times_between_the_horizon_and_now_are_certain() {
        let day = Remembered::from_the_start(0, DAY, &store("a"));
        let horizon = day.horizon_ms(NOW);
        let certain = |time| day.is_certain(time, MARGIN_MS, NOW);
        assert_eq!(
            [horizon - 1, horizon, NOW + 60_000, NOW + 60_001].map(|time| certain(Some(time))),
            [false, true, true, false]
        );
        assert!(!certain(None), "a record without a time may be of any");
    }

    /// What was finished under the shorter TTL goes on running out for as long as that.
    #[test]
    fn a_longer_ttl_does_not_bring_back_what_ran_out() {
        let short = Remembered::from_the_start(0, DAY, &store("a"));
        let long = short.seen_again(NOW, 8 * DAY, &store("a"));
        let horizon = |hours: i64| (long.horizon_ms(NOW + hours * HOUR) - MARGIN_MS - NOW) / HOUR;
        assert_eq!([0, 1, 24, 48, 192, 193].map(horizon), [-24, -23, 0, 0, 0, 1]);
        let short_again = long.seen_again(NOW + HOUR, DAY, &store("a"));
        assert_eq!(short_again.horizon_ms(NOW + HOUR), NOW - 23 * HOUR + MARGIN_MS);
        let late = long.seen_again(NOW + 30 * HOUR, 8 * DAY, &store("a"));
        assert_eq!((late.shorter, late.since_ms), (None, NOW));
        let shortest = Remembered::from_the_start(0, DAY / 2, &store("a")).seen_again(NOW, DAY, &store("a"));
        let twice = shortest.seen_again(NOW + HOUR, 8 * DAY, &store("a"));
        assert_eq!(twice.horizon_ms(NOW + HOUR), NOW - 11 * HOUR + MARGIN_MS, "the shortest of them counts");
    }

    #[test]
    fn another_process_or_history_of_the_store_may_have_forgotten() {
        let before = Remembered::from_the_start(0, DAY, &store("a"));
        assert_eq!(before.seen_again(NOW, DAY, &store("a")), before);
        let forgotten = Remembered { began_ms: Some(0), ..Remembered::from_now(NOW, DAY, &store("b")) };
        assert_eq!(before.seen_again(NOW, DAY, &store("b")), forgotten);
        let evicted = StoreReport { evicted_keys: Some(1), ..store("a") };
        let after = before.seen_again(NOW, DAY, &evicted);
        assert_eq!(after.horizon_ms(NOW), NOW + MARGIN_MS);
        assert_eq!(after.seen_again(NOW + HOUR, DAY, &evicted), after, "no more were");
        let failed_over = StoreReport { replication_id: Some("x".to_owned()), ..store("a") };
        assert_eq!(before.seen_again(NOW, DAY, &failed_over).horizon_ms(NOW), NOW + MARGIN_MS);
    }

    #[test]
    fn while_nothing_can_have_been_forgotten_all_is_certain() {
        let group = Remembered::from_the_start(NOW, DAY, &store("a"));
        let epoch = group.clone().of_epoch();
        let certain = |known: &Remembered, now| known.is_certain(Some(0), MARGIN_MS, now);
        let day = NOW + 24 * HOUR;
        for known in [&group, &epoch] {
            assert_eq!(
                [NOW, day - MARGIN_MS, day - MARGIN_MS + 1].map(|now| certain(known, now)),
                [true, true, false]
            );
            assert!(
                !certain(&known.seen_again(NOW + 1, DAY, &store("b")), NOW + 1),
                "it may have been forgotten"
            );
        }
        let late = Some(day + HOUR);
        let certain = |known: &Remembered| known.is_certain(late, MARGIN_MS, day + HOUR);
        assert_eq!((certain(&group), certain(&epoch)), (true, false), "times say nothing of an epoch");
        assert!(!Remembered::from_now(NOW, DAY, &store("a")).of_epoch().is_certain(None, MARGIN_MS, NOW));
    }
}
