//! What is different when the past is run again.

use std::{collections::BTreeMap, ops::Range};

use super::Pace;
use crate::{Record, store::StoreKey};

/// A replay, as the way of its records knows it.
#[derive(Debug, Default)]
pub(crate) struct Replaying {
    pub(crate) epoch: Option<Epoch>,
    /// How many attempts begin in a second, at most.
    pub(crate) pace: Option<Pace>,
    /// Which records the live group has met for certain, by physical topic and partition.
    pub(crate) met: BTreeMap<(String, i32), Range<i64>>,
}

/// A run over everything, apart from what was remembered before.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) name: String,
    pub(crate) new_keys: bool,
}

impl Replaying {
    /// Whether the live group has met this record and passed it. One that cannot be decoded has its letter then. In
    /// doubt it gets another one: that does less harm than none.
    pub(crate) fn was_passed(&self, record: &Record) -> bool {
        let place = (record.topic.to_string(), record.partition);
        self.met.get(&place).is_some_and(|met| met.contains(&record.offset))
    }

    pub(crate) fn store_key(&self, prefix: &str, group: &str, handler: &str, key: &str) -> StoreKey {
        match &self.epoch {
            Some(Epoch { name, .. }) => StoreKey::in_epoch(name, prefix, group, handler, key),
            None => StoreKey::new(prefix, group, handler, key),
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
