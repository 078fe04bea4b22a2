//! The partitions of one consumer as others see them: the thread that polls changes them, operators look.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::assignment::{Assignment, Name, Running};

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
    /// The time of the record that holds the watermark, in milliseconds since 1970.
    pub(crate) oldest: Option<i64>,
    /// Why nothing comes from it.
    pub(crate) waits: Option<String>,
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
        oldest: running.partition.oldest_timestamp(),
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
        oldest: None,
        waits: Some(reason.to_owned()),
    }
}
