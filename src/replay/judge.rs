//! What would become of an event if it were replayed: asked of the store, without changing anything.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    Record,
    pipeline::{Decoded, Event, ServiceRun, Topic, decode, now_ms},
    store::{DedupeStore, End, Inspected, KnownState, StoreFault, StoreKey},
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
    /// By handler, in milliseconds since 1970: what is younger and not in the store was never finished.
    pub(super) horizons: BTreeMap<String, i64>,
}

/// What is known of one record without asking the store.
enum Question {
    Known(Verdict),
    /// Ask for this key; whether nothing there means that it never took effect.
    Ask {
        key: StoreKey,
        is_certain: bool,
    },
}

impl Judge {
    /// Whether a record of this time is certain to be remembered if it ever took effect, whoever handles it.
    pub(super) fn is_remembered(&self, timestamp: Option<i64>) -> bool {
        self.runs_everything()
            || self.horizons.values().all(|horizon| is_within(timestamp, *horizon, now_ms()))
    }

    /// In an epoch of its own nothing is taken for done that has not run there.
    fn runs_everything(&self) -> bool {
        self.service.replay.as_ref().is_some_and(|replay| replay.epoch.is_some())
    }

    /// The verdict on each of these records of one topic, in one round trip.
    ///
    /// Of several records of one key only the first would run: `would_run` has those that were met.
    pub(super) async fn verdicts(
        &self,
        topic: &Topic,
        records: &[Arc<Record>],
        would_run: &mut HashSet<StoreKey>,
    ) -> Result<Vec<Verdict>, StoreFault> {
        let questions: Vec<Question> = records.iter().map(|record| self.question(topic, record)).collect();
        let keys: Vec<StoreKey> = questions
            .iter()
            .filter_map(|question| match question {
                Question::Ask { key, .. } => Some(key.clone()),
                Question::Known(_) => None,
            })
            .collect();
        let mut answers = self.store.inspect(&keys).await?.into_iter();
        Ok(questions
            .into_iter()
            .map(|question| match question {
                Question::Known(verdict) => verdict,
                Question::Ask { key, is_certain } => {
                    match answers.next().map_or(Verdict::Unknown, |known| verdict(&known, is_certain)) {
                        Verdict::WillRun if !would_run.insert(key) => Verdict::AlreadyDone,
                        verdict => verdict,
                    }
                }
            })
            .collect())
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
        let name = route.handler.name();
        let horizon = self.horizons.get(name).copied().unwrap_or(i64::MAX);
        let is_certain = self.runs_everything() || is_within(record.timestamp, horizon, now_ms());
        Question::Ask { key: self.service.store_key(name, job.key().as_str()), is_certain }
    }
}

/// Whether an event of this time must be remembered if it took effect. A time that has not come yet says nothing about
/// when the event was handled.
fn is_within(timestamp: Option<i64>, horizon: i64, now: i64) -> bool {
    timestamp.is_some_and(|time| horizon <= time && time <= now.saturating_add(CLOCKS_DIFFER_MS))
}

fn verdict(known: &Inspected, is_certain: bool) -> Verdict {
    match known {
        Inspected::Unknown if is_certain => Verdict::WillRun,
        // A value that cannot be read is no proof of anything.
        Inspected::Unknown | Inspected::Foreign => Verdict::Unknown,
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
        assert_eq!(verdict(&Inspected::Foreign, true), Verdict::Unknown);
        assert_eq!(verdict(&Inspected::Unknown, true), Verdict::WillRun);
        assert_eq!(verdict(&Inspected::Unknown, false), Verdict::Unknown);
    }
}
