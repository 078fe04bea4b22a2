//! What would become of an event if it were replayed: asked of the store, without changing anything.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use serde::Serialize;

use crate::{
    Record,
    ledger::Ledger,
    pipeline::{Decoded, Event, ServiceRun, Topic, decode, now_ms},
    store::{DedupeStore, End, Inspected, KnownState, MARGIN_MS, StoreFault, StoreKey},
    worker::memory::Memory,
};

/// What would become of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It would run.
    WillRun,
    /// It took effect before.
    AlreadyDone,
    /// It is a dead letter.
    AlreadyDead,
    /// Somebody works on it, or it waits for its next attempt.
    InProgress,
    /// Nobody knows whether it took effect.
    Unknown,
    /// Its handler is not to be replayed.
    LeftOut,
    /// It is a tombstone nobody asks for, or of a type that is skipped.
    Skipped,
    /// It cannot be decoded, has no key, or nobody handles it.
    Undecodable,
}

/// How far ahead a producer's clock may be.
const CLOCKS_DIFFER_MS: i64 = 60_000;

/// Knows what the store remembers, and how far back that reaches.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) service: Arc<ServiceRun>,
    pub(super) store: Arc<dyn DedupeStore>,
    pub(super) memory: Memory,
    /// Whether its group had never finished anything.
    pub(super) is_new: bool,
    /// By handler, in milliseconds since 1970: what is younger and not in the store was never finished. They move on.
    pub(super) horizons: RwLock<BTreeMap<String, i64>>,
    /// Where the store's memory does not reach that far back.
    pub(super) ledger: Option<Arc<Ledger>>,
}

/// What is known of one record without asking the store.
enum Question {
    Known(Verdict),
    /// Ask for this key of a handler's event, which is of this time.
    Ask {
        key: StoreKey,
        handler: &'static str,
        timestamp: Option<i64>,
    },
}

impl Judge {
    /// Whether the store is certain to remember a record of this time if it ever took effect, whoever handles it.
    pub(super) fn is_remembered(&self, timestamp: Option<i64>) -> bool {
        let horizons = self.horizons.read().unwrap_or_else(PoisonError::into_inner);
        horizons.values().all(|horizon| is_within(timestamp, *horizon, now_ms()))
    }

    /// Whether whatever took effect of a record of this time is known, here or there, whoever handles it.
    pub(super) fn is_known(&self, timestamp: Option<i64>) -> bool {
        let handlers = self.service_handlers();
        self.runs_everything() || handlers.iter().all(|handler| self.knows_all(handler, timestamp))
    }

    /// Asks how far back the store remembers by now: time passes, and a store may lose what it had.
    pub(super) async fn look_again(&self) -> Result<(), StoreFault> {
        // Whether its group has ever finished anything was asked when this began, and only notes can tell more.
        let horizons = self.memory.horizons(&*self.store, self.is_new).await?;
        *self.horizons.write().unwrap_or_else(PoisonError::into_inner) = horizons;
        Ok(())
    }

    fn service_handlers(&self) -> Vec<String> {
        self.horizons.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What a handler finished since is in the store for certain.
    fn horizon(&self, handler: &str) -> i64 {
        let horizons = self.horizons.read().unwrap_or_else(PoisonError::into_inner);
        horizons.get(handler).copied().unwrap_or(i64::MAX)
    }

    /// Whether an event of this time that is neither in the store nor in the ledger never took effect.
    fn knows_all(&self, handler: &str, timestamp: Option<i64>) -> bool {
        let horizon = self.horizon(handler);
        // When something was finished is told by one clock, so that no margin is needed where both meet.
        let remembered_since = horizon.saturating_sub(MARGIN_MS);
        let has_all =
            |ledger: &Arc<Ledger>| ledger.has_all(handler, timestamp) && ledger.meets(remembered_since);
        is_within(timestamp, horizon, now_ms()) || self.ledger.as_ref().is_some_and(has_all)
    }

    /// In an epoch of its own nothing is taken for done that has not run there.
    fn runs_everything(&self) -> bool {
        self.service.replay.as_ref().is_some_and(|replay| replay.epoch.is_some())
    }

    /// The verdict on each of these records of one topic, in one round trip.
    pub(super) async fn verdicts(
        &self,
        topic: &Topic,
        records: &[Arc<Record>],
    ) -> Result<Vec<(Verdict, Option<StoreKey>)>, StoreFault> {
        let questions: Vec<Question> = records.iter().map(|record| self.question(topic, record)).collect();
        let keys: Vec<StoreKey> = questions
            .iter()
            .filter_map(|question| match question {
                Question::Ask { key, .. } => Some(key.clone()),
                Question::Known(_) => None,
            })
            .collect();
        let mut answers = self.store.inspect(&keys).await?.into_iter();
        let verdict = |question| match question {
            Question::Known(verdict) => (verdict, None),
            Question::Ask { key, handler, timestamp } => {
                let forgotten = || self.forgotten(&key, handler, timestamp);
                let verdict = answers.next().map_or(Verdict::Unknown, |known| verdict(&known, forgotten));
                (verdict, Some(key))
            }
        };
        Ok(questions.into_iter().map(verdict).collect())
    }

    /// What the store does not know, or does not know any more.
    fn forgotten(&self, key: &StoreKey, handler: &str, timestamp: Option<i64>) -> Verdict {
        if !self.runs_everything() && is_within(timestamp, self.horizon(handler), now_ms()) {
            return Verdict::WillRun;
        }
        match self.ledger.as_ref().and_then(|ledger| ledger.find(key)) {
            Some(End::Done) => Verdict::AlreadyDone,
            Some(End::Dead) => Verdict::AlreadyDead,
            None if self.runs_everything() || self.knows_all(handler, timestamp) => Verdict::WillRun,
            None => Verdict::Unknown,
        }
    }

    fn question(&self, topic: &Topic, record: &Arc<Record>) -> Question {
        let (_, decoded) = decode(&topic.table, record);
        let Event { route, job, .. } = match decoded {
            Decoded::Event(event) => event,
            Decoded::Unwanted(_) => return Question::Known(Verdict::Skipped),
            Decoded::Unfit(..) => {
                let passed = self.service.replay.as_ref().is_some_and(|replay| replay.was_passed(record));
                return Question::Known(if passed { Verdict::AlreadyDead } else { Verdict::Undecodable });
            }
        };
        if self.service.replay.is_some() && !route.handler.replayable() {
            return Question::Known(Verdict::LeftOut);
        }
        let handler = route.handler.name();
        let key = route.keys.key(job.key().as_str());
        Question::Ask { key, handler, timestamp: record.timestamp }
    }
}

/// Whether an event of this time must be remembered if it took effect. A time that has not come yet says nothing about
/// when the event was handled.
fn is_within(timestamp: Option<i64>, horizon: i64, now: i64) -> bool {
    timestamp.is_some_and(|time| horizon <= time && time <= now.saturating_add(CLOCKS_DIFFER_MS))
}

/// `forgotten` is what becomes of an event that the store does not know.
fn verdict(known: &Inspected, forgotten: impl FnOnce() -> Verdict) -> Verdict {
    match known {
        Inspected::Unknown => forgotten(),
        // A value that cannot be read is no proof of anything.
        Inspected::Foreign => Verdict::Unknown,
        Inspected::Known(known) => match &known.state {
            KnownState::Ended(End::Done) => Verdict::AlreadyDone,
            KnownState::Ended(End::Dead) => Verdict::AlreadyDead,
            KnownState::Claimed { .. } | KnownState::Waiting { .. } => Verdict::InProgress,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_between_the_horizon_and_now_are_certain() {
        let certain = |time| is_within(time, 1_000_000, 5_000_000);
        assert_eq!(
            [999_999, 1_000_000, 5_060_000, 5_060_001].map(|time| certain(Some(time))),
            [false, true, true, false]
        );
        assert!(!certain(None), "a record without a time may be of any");
    }

    #[test]
    fn what_cannot_be_read_proves_nothing() {
        assert_eq!(verdict(&Inspected::Foreign, || Verdict::WillRun), Verdict::Unknown);
        assert_eq!(verdict(&Inspected::Unknown, || Verdict::WillRun), Verdict::WillRun);
    }
}
