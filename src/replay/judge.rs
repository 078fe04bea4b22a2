//! What would become of an event if it were replayed: asked of the store, without changing anything.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::{ReplayError, replayer::blocking};
use crate::{
    Record,
    ledger::{self, Book, KeepError, Keeper, Ledger, Said},
    pipeline::{Decoded, Event, NewRecord, ServiceRun, Topic, decode, now_ms},
    store::{
        DedupeStore, End, Inspected, Known, KnownState, MARGIN_MS, Reach, Remembered, StoreFault, StoreKey,
    },
    worker::memory::{Begun, begin},
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

/// A ledger is not read again so soon, in milliseconds.
const SOON_MS: i64 = 1_000;

/// Knows what the store remembers, and how far back that reaches.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) service: Arc<ServiceRun>,
    pub(super) store: Arc<dyn DedupeStore>,
    /// Of the events' own time, and of the run over everything, if this is one.
    pub(super) memories: Vec<Begun>,
    pub(super) keeper: Keeper,
    pub(super) reach: Arc<Reach>,
    /// Where the store's memory does not reach that far back.
    pub(super) book: Option<Arc<Book>>,
}

/// What is known of one record.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Its event's, if it has one.
    pub(super) key: Option<StoreKey>,
    /// For how long the store knows that it has ended, from now.
    pub(super) remembered: Option<Duration>,
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
        let now = self.now();
        self.reach.all(|_, known| known.is_some_and(|known| known.is_certain(timestamp, MARGIN_MS, now)))
    }

    /// Whether whatever took effect of a record of this time is known, here or there, whoever handles it.
    pub(super) fn is_known(&self, timestamp: Option<i64>) -> bool {
        let now = self.now();
        self.reach
            .all(|handler, known| known.is_some_and(|known| self.knows_all(handler, known, timestamp, now)))
    }

    fn now(&self) -> i64 {
        self.reach.store_ms(now_ms())
    }

    /// Writes down that events are finished here from now on, and what is remembered of them.
    pub(super) async fn keep(&self) -> Result<(), KeepError> {
        for loss in begin(&self.memories, &self.keeper, &*self.store).await? {
            tracing::error!(loss, "the ledger is not what it was");
        }
        Ok(())
    }

    /// Asks how far back the store remembers by now: time passes, and a store may lose what it had.
    pub(super) async fn look_again(&self) -> Result<(), KeepError> {
        // It is all written down by now: where nothing is found any more, the store has forgotten that.
        let begun = self.memories.iter().map(|begun| Begun { is_new: false, ..begun.clone() });
        let begun: Vec<Begun> = begun.collect();
        if let Some(Begun { memory, .. }) = begun.last() {
            self.reach.set(memory.reach(&*self.store, false).await?);
        }
        begin(&begun, &self.keeper, &*self.store).await.map(drop)
    }

    /// Sees to it that what the store may have forgotten can be looked up, where it is written down.
    pub(super) async fn open_the_book(&self) -> Result<(), ReplayError> {
        let Some(book) = self.book.clone() else { return Ok(()) };
        let read_at = book.ask(Ledger::read_at_ms);
        let now = self.now();
        let read_at = read_at.map(|read_at| self.reach.store_ms(read_at));
        let meets = |read_at| self.reach.all(|_, known| known.is_none_or(|known| known.meets(read_at, now)));
        if read_at.is_some_and(|read_at| now < read_at + SOON_MS || meets(read_at)) {
            return Ok(());
        }
        let noted = self.keeper.noted(&*self.store).await?;
        blocking(move || book.read(&noted)).await?.map_err(|error| ReplayError::Trouble(error.to_string()))
    }

    /// What the store knows and the ledger does not is written into it, where there is one.
    pub(super) async fn write_down(&self, verdicts: &[Judged]) -> Result<(), ReplayError> {
        let (Some(topic), Some(book)) = (&self.service.ledger, &self.book) else { return Ok(()) };
        let entry = |Judged { verdict, key, .. }: &Judged| {
            let key = key.as_ref()?;
            let said = match verdict {
                Verdict::AlreadyDone => Said::Done,
                Verdict::AlreadyDead => Said::Dead,
                _ => return None,
            };
            let known = book.ask(|ledger| ledger.find(key)).flatten();
            (known < Some(said)).then(|| ledger::record(topic, key, said))
        };
        let entries: Vec<NewRecord> = verdicts.iter().filter_map(entry).collect();
        if entries.is_empty() {
            return Ok(());
        }
        let sent = self.service.producer.send(&entries).await;
        sent.map_err(|error| ReplayError::Trouble(format!("the ledger {topic}: {error}")))
    }

    /// Whether the live group has settled this record, so that something must have forgotten it if nobody knows it.
    pub(super) fn was_passed(&self, record: &Record) -> bool {
        self.service.replay.as_ref().is_some_and(|replay| replay.epoch.is_none() && replay.was_passed(record))
    }

    /// What was lost of the ledger, as far as it was read.
    pub(super) fn warnings(&self) -> Vec<String> {
        self.book.as_ref().and_then(|book| book.ask(|ledger| ledger.warnings.clone())).unwrap_or_default()
    }

    /// Whether an event of this time that is neither in the store nor in the ledger never took effect.
    fn knows_all(&self, handler: &str, known: &Remembered, timestamp: Option<i64>, now: i64) -> bool {
        let ahead = now - now_ms();
        let has_all = |ledger: &Ledger| {
            ledger.has_all(handler, known.earliest(timestamp))
                && known.meets(ledger.read_at_ms() + ahead, now)
        };
        known.is_certain(timestamp, MARGIN_MS, now)
            || self.book.as_ref().and_then(|book| book.ask(has_all)).unwrap_or_default()
    }

    /// The verdict on each of these records of one topic, in one round trip.
    pub(super) async fn verdicts(
        &self,
        topic: &Topic,
        records: &[Arc<Record>],
    ) -> Result<Vec<Judged>, StoreFault> {
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
            Question::Known(verdict) => Judged { verdict, key: None, remembered: None },
            Question::Ask { key, handler, timestamp } => {
                let forgotten = || self.forgotten(&key, handler, timestamp);
                let answer = answers.next();
                let remembered = answer.as_ref().and_then(remembered);
                let verdict = answer.map_or(Verdict::Unknown, |known| verdict(&known, forgotten));
                Judged { verdict, key: Some(key), remembered }
            }
        };
        Ok(questions.into_iter().map(verdict).collect())
    }

    /// What the store does not know, or does not know any more.
    fn forgotten(&self, key: &StoreKey, handler: &str, timestamp: Option<i64>) -> Verdict {
        let Some(known) = self.reach.of(handler) else { return Verdict::Unknown };
        let now = self.now();
        // A duplicate may be remembered for less long than its time lets expect, so that the ledger knows better.
        match self.book.as_ref().and_then(|book| book.ask(|ledger| ledger.find(key))).flatten() {
            Some(Said::Done) => Verdict::AlreadyDone,
            Some(Said::Dead) => Verdict::AlreadyDead,
            Some(Said::Begun) => Verdict::Unknown,
            None if self.knows_all(handler, &known, timestamp, now) => Verdict::WillRun,
            None => Verdict::Unknown,
        }
    }

    fn question(&self, topic: &Topic, record: &Arc<Record>) -> Question {
        let (_, decoded) = decode(&topic.table, topic.limits, record);
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

/// For how long the store knows that an event has ended.
fn remembered(known: &Inspected) -> Option<Duration> {
    match known {
        Inspected::Known(Known { state: KnownState::Ended(End::Done | End::Dead), remembered, .. }) => {
            *remembered
        }
        _ => None,
    }
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
            // Its copy waits for its next attempt, or is at work.
            KnownState::Ended(End::Moved) | KnownState::Claimed { .. } | KnownState::Waiting { .. } => {
                Verdict::InProgress
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_proves_nothing() {
        assert_eq!(verdict(&Inspected::Foreign, || Verdict::WillRun), Verdict::Unknown);
        assert_eq!(verdict(&Inspected::Unknown, || Verdict::WillRun), Verdict::WillRun);
    }
}
