//! The partitions of one consumer as others see them: the thread that polls changes them, operators look.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::assignment::{Assignment, Name, Running};
use crate::pipeline::age;

/// The partitions that a consumer has now; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Assigned(Arc<Mutex<Assignment>>);

/// One partition at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    /// Where the log ends, as far as it is known.
    pub(crate) end: Option<i64>,
    /// What Kafka has as the group's offset, as far as it is known.
    pub(crate) committed: Option<i64>,
    /// Everything below needs no more work.
    pub(crate) watermark: Option<i64>,
    /// Records taken in and not settled.
    pub(crate) unsettled: usize,
    pub(crate) oldest: Oldest,
    /// Why nothing comes from it.
    pub(crate) waits: Option<String>,
}

/// Since when the first record that is not settled waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oldest {
    /// None does.
    Nothing,
    /// Its own time, in milliseconds since 1970, or when it was due.
    Since(i64),
    /// It has not been taken in yet, or has no time.
    Unknown,
}

impl Oldest {
    /// How old it is, if that is known.
    pub(crate) fn age(self) -> Option<Duration> {
        match self {
            Self::Nothing => Some(Duration::ZERO),
            Self::Since(timestamp) => Some(age(timestamp)),
            Self::Unknown => None,
        }
    }
}

impl Assigned {
    pub(super) fn lock(&self) -> MutexGuard<'_, Assignment> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, by topic and number.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        let assignment = self.lock();
        let held = assignment.held.iter().map(|(name, reason)| held(name, reason));
        let mut all: Vec<Seen> = assignment.running.iter().map(running).chain(held).collect();
        all.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        all
    }
}

fn running(((topic, number), running): (&Name, &Running)) -> Seen {
    let (next, watermark, unsettled) = running.partition.progress();
    Seen {
        topic: topic.to_string(),
        partition: *number,
        // The client tells now and then; what was taken in since was in the log as well.
        end: running.end.map(|end| end.max(next)),
        committed: running.acknowledged.or(running.committed_before),
        watermark: Some(watermark),
        unsettled,
        oldest: running.oldest(),
        waits: running.trouble.clone(),
    }
}

fn held((topic, partition): &Name, reason: &str) -> Seen {
    Seen {
        topic: topic.to_string(),
        partition: *partition,
        end: None,
        committed: None,
        watermark: None,
        unsettled: 0,
        oldest: Oldest::Unknown,
        waits: Some(reason.to_owned()),
    }
}
