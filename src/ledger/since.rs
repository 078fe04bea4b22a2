//! Since when a ledger has everything. Pure: the present and the topic as it stands are passed in.

use serde::{Deserialize, Serialize};

/// What is told a moment too late, for clocks that differ and workers that were under way.
const MARGIN_MS: i64 = 60_000;

/// A ledger's topic as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Where the brokers give topics ids.
    pub(crate) topic_id: Option<String>,
    pub(crate) partitions: usize,
    /// Offsets that were deleted, in all partitions together. Compaction deletes none.
    pub(crate) gone: i64,
    /// Where the partitions end, added up. A topic that only grows has no smaller one later.
    pub(crate) ends: i64,
}

/// Since when a ledger has every event that one handler finished, and the topic that says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since {
    /// Milliseconds since 1970: what was finished before may be missing. 0 where nothing was.
    since_ms: i64,
    topic_id: Option<String>,
    partitions: usize,
    gone: i64,
    #[serde(default)]
    ends: i64,
}

impl Since {
    /// Everything finished from `since_ms` on is in the topic that stands there.
    pub(crate) fn new(since_ms: i64, look: &Look) -> Self {
        let Look { topic_id, partitions, gone, ends } = look.clone();
        Self { since_ms, topic_id, partitions, gone, ends }
    }

    /// The same after another look, and what was lost of the topic since, if anything.
    pub(crate) fn seen_again(&self, now_ms: i64, look: &Look) -> (Self, Option<&'static str>) {
        let is_other = matches!((&self.topic_id, &look.topic_id), (Some(known), Some(seen)) if known != seen);
        let lost = if is_other {
            Some("the topic was deleted and made again")
        } else if look.partitions < self.partitions {
            Some("the topic has fewer partitions than before")
        } else if look.gone > self.gone {
            Some("records of the topic were deleted")
        } else if look.ends < self.ends {
            Some("the topic is shorter than before")
        } else {
            None
        };
        let seen = Self::new(if lost.is_some() { now_ms } else { self.since_ms }, look);
        // A broker that tells no id takes back none that was told.
        let topic_id = seen.topic_id.clone().or_else(|| self.topic_id.clone());
        (Self { topic_id, ..seen }, lost)
    }

    /// Somebody finishes events without writing them down.
    pub(crate) fn interrupted(&self, now_ms: i64) -> Self {
        Self { since_ms: self.since_ms.max(now_ms), ..self.clone() }
    }

    /// What both of two accounts say.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self { since_ms: self.since_ms.max(other.since_ms), ..self.clone() }
    }

    /// What is younger than this and finished is in the ledger. In milliseconds since 1970.
    pub(crate) fn horizon_ms(&self) -> i64 {
        self.since_ms.saturating_add(MARGIN_MS)
    }

    /// Milliseconds since 1970; 0 where nothing was finished before.
    pub(crate) fn since_ms(&self) -> i64 {
        self.since_ms
    }

    /// Whether an event of this time, if it was finished by `now_ms`, must be in the ledger. A time that has not come
    /// yet says nothing about when the event was finished, and no more does none.
    pub(crate) fn covers(&self, timestamp: Option<i64>, now_ms: i64) -> bool {
        let has_come = self.horizon_ms()..=now_ms.saturating_add(MARGIN_MS);
        self.since_ms == 0 || timestamp.is_some_and(|time| has_come.contains(&time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000_000;

    fn look(id: &str, partitions: usize, gone: i64) -> Look {
        Look { topic_id: Some(id.to_owned()), partitions, gone, ends: 100 }
    }

    #[test]
    fn a_topic_that_only_grew_has_everything_since_then() {
        let since = Since::new(7, &look("a", 3, 0));
        assert_eq!(since.seen_again(NOW, &look("a", 3, 0)), (since.clone(), None));
        let (wider, lost) = since.seen_again(NOW, &look("a", 5, 0));
        assert_eq!((wider.horizon_ms(), lost), (7 + MARGIN_MS, None));
    }

    #[test]
    fn a_topic_that_lost_something_begins_anew() {
        let since = Since::new(0, &look("a", 3, 0));
        for (look, why) in [
            (look("b", 3, 0), "the topic was deleted and made again"),
            (look("a", 2, 0), "the topic has fewer partitions than before"),
            (look("a", 3, 1), "records of the topic were deleted"),
        ] {
            let (anew, lost) = since.seen_again(NOW, &look);
            assert_eq!((anew.horizon_ms(), lost), (NOW + MARGIN_MS, Some(why)));
            assert_eq!(anew.seen_again(NOW + 1, &look), (anew.clone(), None), "said once");
        }
    }

    #[test]
    fn a_broker_that_tells_no_ids_takes_nothing_away_and_hides_nothing() {
        let untold = Look { topic_id: None, ..look("a", 3, 0) };
        let since = Since::new(0, &look("a", 3, 0));
        let (seen, lost) = since.seen_again(NOW, &untold);
        assert_eq!((&seen, lost), (&since, None));
        assert_eq!(seen.seen_again(NOW, &look("b", 3, 0)).1, Some("the topic was deleted and made again"));
        let shorter = Look { ends: 99, ..untold.clone() };
        let (anew, lost) = Since::new(0, &untold).seen_again(NOW, &shorter);
        assert_eq!((anew.since_ms(), lost), (NOW, Some("the topic is shorter than before")));
    }

    #[test]
    fn only_times_that_have_come_since_then_are_covered() {
        let covers = |since_ms, time| Since::new(since_ms, &look("a", 3, 0)).covers(time, NOW);
        let around = [6 + MARGIN_MS, 7 + MARGIN_MS, NOW + MARGIN_MS, NOW + MARGIN_MS + 1];
        assert_eq!(around.map(|time| covers(7, Some(time))), [false, true, true, false]);
        assert_eq!((covers(7, None), covers(0, None), covers(0, Some(0))), (false, true, true));
    }

    #[test]
    fn a_worker_without_the_ledger_interrupts_it_and_nobody_takes_that_back() {
        let since = Since::new(0, &look("a", 3, 0));
        let interrupted = since.interrupted(NOW);
        assert_eq!(interrupted.horizon_ms(), NOW + MARGIN_MS);
        assert_eq!(interrupted.interrupted(NOW - 5), interrupted);
        assert_eq!(interrupted.and(&since), interrupted);
        assert_eq!(since.and(&interrupted), interrupted);
    }
}
