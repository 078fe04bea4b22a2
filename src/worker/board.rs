//! Where operators look for the partitions of the services of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::kafka::{Assigned, Seen};

/// The partitions of each service that runs here, by its name; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board(Arc<Mutex<BTreeMap<String, Assigned>>>);

impl Board {
    pub(super) fn show(&self, service: &str, assigned: &Assigned) {
        self.services().insert(service.to_owned(), assigned.clone());
    }

    /// The partitions of a service now; none before it has begun.
    pub(crate) fn seen(&self, service: &str) -> Vec<Seen> {
        let assigned = self.services().get(service).cloned();
        assigned.map(|assigned| assigned.seen()).unwrap_or_default()
    }

    fn services(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Assigned>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
