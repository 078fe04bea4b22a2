//! What would become of an event if it were replayed: asked of the store, without changing anything.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use serde::Serialize;

use crate::{
    Record,
    pipeline::{Decoded, Event, ServiceRun, Topic, decode},
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

/// Knows what the store remembers, and how far back that reaches.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) service: Arc<ServiceRun>,
    pub(super) store: Arc<dyn DedupeStore>,
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
    /// Whether a record of this time is certain to be remembered if it ever took effect, whoever handles it.
    pub(super) fn is_remembered(&self, timestamp: Option<i64>) -> bool {
        self.runs_everything()
            || timestamp.is_some_and(|time| self.horizons.values().all(|horizon| time >= *horizon))
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
        if !route.handler.replayable() {
            return Question::Known(Verdict::LeftOut);
        }
        let name = route.handler.name();
        let horizon = self.horizons.get(name).copied().unwrap_or(i64::MAX);
        let is_certain = self.runs_everything() || record.timestamp.is_some_and(|time| time >= horizon);
        Question::Ask { key: self.service.store_key(name, job.key().as_str()), is_certain }
    }
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
