//! Keys that hold values which are not ours. Whoever waits until such a value is gone asks again and again: the
//! function looks before it writes, so it is not even for a moment replaced.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::store::StoreKey;

/// More than these are not kept in mind.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Suspects(Mutex<HashSet<StoreKey>>);

impl Suspects {
    pub(super) fn any_of<'a>(&self, mut keys: impl Iterator<Item = &'a StoreKey>) -> bool {
        let known = self.lock();
        !known.is_empty() && keys.any(|key| known.contains(key))
    }

    /// Takes in which of these keys were found to hold such a value.
    pub(super) fn learn<'a>(&self, found: impl Iterator<Item = (&'a StoreKey, bool)>) {
        let mut known = self.lock();
        for (key, foreign) in found {
            if foreign && known.len() < MOST {
                known.insert(key.clone());
            } else if !known.is_empty() {
                known.remove(key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<StoreKey>> {
        // A set is whole after every call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
