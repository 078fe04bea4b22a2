//! What is different when the past is run again.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use super::{Pace, decode::Event, delivery::Delivery, now_ms};
use crate::{
    Record,
    store::{Grant, KeySpace, MARGIN_MS, Reach, Remembered},
    telemetry::spans::Deed,
};

/// A replay, as the way of its records knows it.
#[derive(Debug, Default)]
pub(crate) struct Replaying {
    pub(crate) epoch: Option<Epoch>,
    /// How many attempts begin in a second, at most.
    pub(crate) pace: Option<Pace>,
    /// Which records the live group has met for certain, by physical topic and partition.
    pub(crate) met: BTreeMap<(String, i32), Range<i64>>,
    /// What the store remembers for certain.
    reach: Arc<Reach>,
    /// What its spans belong to, once it has begun and where somebody records it.
    deed: OnceLock<Arc<Deed>>,
    /// Records that may run although the store may have forgotten them.
    cleared: Mutex<HashSet<(String, i32, i64)>>,
}

/// A run over everything, apart from what was remembered before.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) name: String,
    pub(crate) new_keys: bool,
}

impl Replaying {
    pub(crate) fn new(
        epoch: Option<Epoch>,
        pace: Option<Pace>,
        met: BTreeMap<(String, i32), Range<i64>>,
    ) -> Self {
        Self { epoch, pace, met, ..Self::default() }
    }

    /// The same, with what the store remembers.
    pub(crate) fn within(self, reach: Arc<Reach>) -> Self {
        Self { reach, ..self }
    }

    /// It begins; whatever comes of its records belongs to this.
    pub(crate) fn belongs_to(&self, deed: Arc<Deed>) {
        // It begins once.
        drop(self.deed.set(deed));
    }

    pub(super) fn deed(&self) -> Option<&Deed> {
        self.deed.get().map(|deed| &**deed)
    }

    /// Whether the live group has met this record and passed it. One that cannot be decoded has its letter then. In
    /// doubt it gets another one: that does less harm than none.
    pub(crate) fn was_passed(&self, record: &Record) -> bool {
        let place = (record.topic.to_string(), record.partition);
        self.met.get(&place).is_some_and(|met| met.contains(&record.offset))
    }

    /// This record may run whatever the store remembers: something else has told, or a person wants it.
    pub(crate) fn clear(&self, record: &Record) {
        self.cleared().insert(place(record));
    }

    /// It needs no more work.
    pub(crate) fn settled(&self, record: &Record) {
        self.cleared().remove(&place(record));
    }

    /// Whether a record that the store does not know was never finished. It was when it was read, and may have waited
    /// for long since then.
    fn is_certain(&self, handler: &str, record: &Record) -> bool {
        let (margin, now) = (MARGIN_MS / 2, self.reach.store_ms(now_ms()));
        let knows = |reach: Remembered| reach.is_certain(record.timestamp, margin, now);
        self.reach.of(handler).is_some_and(knows) || self.cleared().contains(&place(record))
    }

    fn cleared(&self) -> MutexGuard<'_, HashSet<(String, i32, i64)>> {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn key_space(&self, prefix: &str, group: &str, handler: &str) -> KeySpace {
        match &self.epoch {
            Some(Epoch { name, .. }) => KeySpace::in_epoch(name, prefix, group, handler),
            None => KeySpace::new(prefix, group, handler),
        }
    }

    /// What stands behind a dedupe key where it leaves the framework.
    pub(crate) fn suffix(&self) -> String {
        match &self.epoch {
            Some(Epoch { name, new_keys: true }) => format!("@{name}"),
            _ => String::new(),
        }
    }
}

fn place(record: &Record) -> (String, i32, i64) {
    (record.topic.to_string(), record.partition, record.offset)
}

impl Delivery<'_> {
    /// Whether the store may have forgotten an event, for which it has just granted a first claim, since its record was
    /// read. Then the replay cannot go on.
    pub(super) fn is_forgotten(&self, event: &Event, grant: &Grant) -> bool {
        let (service, Record { topic, partition, offset, .. }) = (self.service(), &**self.record);
        let Some(replay) = &service.replay else { return false };
        let is_known = grant.attempts > 0 || grant.takeovers > 0;
        if is_known || replay.is_certain(event.route.handler.name(), self.record) {
            return false;
        }
        service.status.fail(format!(
            "offset {offset} of partition {partition} of {topic} has waited until the store may have forgotten whether it took effect; it is judged anew when the replay goes on"
        ));
        true
    }
}
