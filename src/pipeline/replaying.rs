//! What is different when the past is run again.

use std::collections::BTreeMap;

use crate::{Record, store::KeySpace};

/// A replay, as the way of its records knows it.
#[derive(Debug, Default)]
pub(crate) struct Replaying {
    pub(crate) epoch: Option<Epoch>,
    /// What the live group has committed, by physical topic and partition.
    pub(crate) committed: BTreeMap<(String, i32), i64>,
}

/// A run over everything, apart from what was remembered before.
#[derive(Debug, Clone)]
pub(crate) struct Epoch {
    pub(crate) name: String,
    pub(crate) new_keys: bool,
}

impl Replaying {
    /// Whether the live group has passed this record. One that cannot be decoded has its letter then.
    pub(crate) fn was_passed(&self, record: &Record) -> bool {
        let place = (record.topic.to_string(), record.partition);
        self.committed.get(&place).is_some_and(|committed| record.offset < *committed)
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
