//! What is written down of replays, so that one can go on where it was left, and people can see what was run.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{Order, Tally, taken::guard};
use crate::{
    config::Settings,
    store::{DedupeStore, Inspected, KnownState, StoreFault, StoreKey},
};

/// The kind of these notes.
const KIND: &str = "replays";
/// The kind of notes that tell replays of other processes to stop.
const STOPS: &str = "replays.stop";
/// Entries that have ended stay this long.
const KEPT_DAYS: i64 = 30;

/// One replay, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Names it.
    pub id: String,
    /// What was wanted.
    pub order: Order,
    /// The consumer group of the service.
    pub group: String,
    /// How it stands.
    pub state: State,
    /// Why it stands so, where there is something to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// When it was ordered.
    pub started_at: Timestamp,
    /// When this was written.
    pub updated_at: Timestamp,
    /// Who holds its partitions while it runs: tells it from another replay of the same ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What it reads, and how far it is.
    pub parts: Vec<Part>,
}

/// One partition of a replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Physical name.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Which topic of this name it is, where the brokers tell: offsets of another one mean nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    /// The first offset.
    pub begin: i64,
    /// The offset after the last, frozen when the replay began.
    pub end: i64,
    /// Everything below needs no more work.
    pub at: i64,
    /// What became of it.
    pub tally: Tally,
}

/// How a replay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs.
    Running,
    /// Its process has ended without a word; it can be resumed.
    Interrupted,
    /// Everything in its range is settled.
    Finished,
    /// It was told to stop, or had run as many as it might; it can be resumed.
    Stopped,
    /// It cannot go on by itself; it can be resumed.
    Failed,
}

/// Why an entry is interrupted.
const NO_WORD: &str = "its process has ended without a word, and it can be resumed";

impl Entry {
    /// What is held while it runs.
    fn guard(&self, settings: &Settings) -> Option<StoreKey> {
        let Part { topic, partition, .. } = self.parts.first()?;
        let prefix = settings.service(&self.order.service).dedupe.prefix;
        Some(guard(&prefix, &self.group, topic, *partition))
    }

    /// Whether this is what its own process holds, under a lease that runs.
    fn is_held(&self, guard: &Inspected) -> bool {
        matches!(guard, Inspected::Known(known) if matches!(&known.state, KnownState::Claimed { owner, left }
            if !left.is_zero() && self.owner.as_deref() == Some(owner.as_str())))
    }

    /// All its partitions together.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        self.parts.iter().for_each(|part| all += part.tally);
        all
    }

    /// Offsets that were passed, and offsets in all.
    #[must_use]
    pub fn progress(&self) -> (u64, u64) {
        let sum = |length: fn(&Part) -> i64| {
            self.parts.iter().map(|part| u64::try_from(length(part)).unwrap_or(0)).sum()
        };
        (sum(|part| part.at - part.begin), sum(|part| part.end - part.begin))
    }
}

/// Why a replay cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResumeError {
    #[error("--resume {id}: there is no such replay; {known}")]
    NotThere { id: String, known: String },
    #[error("--resume {0}: it is finished")]
    Finished(String),
    #[error("the dedupe store: {0}")]
    Store(#[from] StoreFault),
}

/// Where replays are written down: beside the claims, so that every machine finds them.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    store: Arc<dyn DedupeStore>,
}

impl Journal {
    pub(crate) fn new(store: Arc<dyn DedupeStore>) -> Self {
        Self { store }
    }

    /// All entries that can be read, by their names, which begin with their time. One that stands as running and
    /// whose process holds nothing any more is interrupted.
    pub(crate) async fn all(&self, settings: &Settings) -> Result<BTreeMap<String, Entry>, StoreFault> {
        let mut entries = self.written().await?;
        let interrupted = self.interrupted(&entries, settings).await?;
        if !interrupted.is_empty() {
            // What has come to its end meanwhile says so.
            entries = self.written().await?;
        }
        for id in interrupted {
            if let Some(entry) = entries.get_mut(&id).filter(|entry| entry.state == State::Running) {
                (entry.state, entry.why) = (State::Interrupted, Some(NO_WORD.to_owned()));
            }
        }
        Ok(entries)
    }

    async fn interrupted(
        &self,
        entries: &BTreeMap<String, Entry>,
        settings: &Settings,
    ) -> Result<Vec<String>, StoreFault> {
        let running = entries.values().filter(|entry| entry.state == State::Running);
        let guards = running.filter_map(|entry| Some((entry, entry.guard(settings)?)));
        let (running, guards): (Vec<&Entry>, Vec<StoreKey>) = guards.unzip();
        if guards.is_empty() {
            return Ok(Vec::new());
        }
        let held = self.store.inspect(&guards).await?;
        let lost = running.iter().zip(held).filter(|(entry, guard)| !entry.is_held(guard));
        Ok(lost.map(|(entry, _)| entry.id.clone()).collect())
    }

    async fn written(&self) -> Result<BTreeMap<String, Entry>, StoreFault> {
        let notes = self.store.notes(KIND).await?;
        Ok(notes.into_iter().filter_map(|(id, text)| Some((id, serde_json::from_str(&text).ok()?))).collect())
    }

    pub(crate) async fn find(&self, id: &str, settings: &Settings) -> Result<Option<Entry>, StoreFault> {
        Ok(self.all(settings).await?.remove(id))
    }

    /// An entry that is there and has not finished.
    pub(crate) async fn resumable(&self, id: &str, settings: &Settings) -> Result<Entry, ResumeError> {
        let mut entries = self.all(settings).await?;
        match entries.remove(id) {
            Some(entry) if entry.state == State::Finished => Err(ResumeError::Finished(id.to_owned())),
            Some(entry) => Ok(entry),
            None => {
                let open = entries.into_values().filter(|entry| entry.state != State::Finished);
                let known = match &*open.map(|entry| entry.id).collect::<Vec<_>>() {
                    [] => "there is none to resume".to_owned(),
                    open => format!("there are {}", open.join(", ")),
                };
                Err(ResumeError::NotThere { id: id.to_owned(), known })
            }
        }
    }

    /// Tells a replay to stop, in whichever process it runs.
    pub(crate) async fn stop(&self, id: &str) -> Result<(), StoreFault> {
        self.store.note(STOPS, id, Some("stop")).await
    }

    /// Takes back that it was told to stop.
    pub(crate) async fn let_run(&self, id: &str) -> Result<(), StoreFault> {
        self.store.note(STOPS, id, None).await
    }

    pub(crate) async fn is_to_stop(&self, id: &str) -> Result<bool, StoreFault> {
        Ok(self.store.notes(STOPS).await?.contains_key(id))
    }

    /// Whether it runs, and was told to stop.
    pub(crate) async fn is_ending(&self, id: &str, settings: &Settings) -> Result<bool, StoreFault> {
        if !self.is_to_stop(id).await? {
            return Ok(false);
        }
        Ok(self.find(id, settings).await?.is_some_and(|entry| entry.state == State::Running))
    }

    /// Writes how far an entry is, unless somebody else has taken it over: their word is newer.
    pub(crate) async fn update(&self, entry: &Entry) -> Result<(), StoreFault> {
        let known = self.written().await?.remove(&entry.id);
        match known.is_none_or(|known| known.owner == entry.owner) {
            true => self.write(entry).await,
            false => Ok(()),
        }
    }

    /// What is left of an entry by now: it may have gone on since it was read.
    pub(crate) async fn latest(&self, entry: Entry) -> Result<Entry, ResumeError> {
        match self.written().await?.remove(&entry.id) {
            Some(latest) if latest.state == State::Finished => Err(ResumeError::Finished(entry.id)),
            Some(latest) => Ok(Entry { parts: latest.parts, ..entry }),
            None => Ok(entry),
        }
    }

    pub(crate) async fn write(&self, entry: &Entry) -> Result<(), StoreFault> {
        let text = serde_json::to_string(entry).map_err(|error| StoreFault::refused(error.to_string()))?;
        self.store.note(KIND, &entry.id, Some(&text)).await
    }

    /// Takes away what ended long ago.
    pub(crate) async fn prune(&self) -> Result<(), StoreFault> {
        let Ok(oldest) = Timestamp::now().checked_sub((KEPT_DAYS * 24).hours()) else { return Ok(()) };
        for (id, entry) in self.written().await? {
            if entry.updated_at < oldest {
                self.store.note(KIND, &id, None).await?;
                self.let_run(&id).await?;
            }
        }
        Ok(())
    }
}
