//! Metrics in a registry of their own, with handles that are resolved once and counted without look-ups.

mod breaker;
pub mod definitions;
mod families;
mod handler;
mod labels;
mod partition;
mod reading;
mod service;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntGaugeVec, Registry, TextEncoder};

use families::Families;
use partition::PartitionName;

use super::probes::Snapshot;

pub use breaker::BreakerMetrics;
pub use handler::{HandlerMetrics, NO_HANDLER};
pub use labels::{
    AttemptOutcome, CommitOutcome, Component, DedupeOperation, DedupeOutcome, Disposition, Label, Outcome,
    RebalanceKind,
};
pub use partition::PartitionMetrics;
pub(crate) use reading::{Reading, whole};
pub use service::{InFlight, ServiceMetrics, Totals};

/// All metrics of one process; clones share them.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    families: Families,
    partition_handles: Mutex<HashMap<PartitionName, usize>>,
}

impl Metrics {
    /// Registers every metric of the list in a registry of its own; two of these share nothing.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let families = Families::register(&registry);
        families.build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self(Arc::new(Inner { registry, families, partition_handles: Mutex::default() }))
    }

    /// The counters of a service. Its series exist from this call on, at zero.
    #[must_use]
    pub fn service(&self, service: &str) -> ServiceMetrics {
        ServiceMetrics::resolve(self.clone(), service)
    }

    /// The counters of a handler on a topic; [`NO_HANDLER`] for records that no handler takes. Its series exist from
    /// this call on, at zero.
    #[must_use]
    pub fn handler(&self, service: &str, topic: &str, handler: &str) -> HandlerMetrics {
        HandlerMetrics::resolve(self.families(), service, topic, handler)
    }

    /// The series of a handler's breaker, over all of its topics. They exist from this call on.
    #[must_use]
    pub fn breaker(&self, service: &str, handler: &str) -> BreakerMetrics {
        BreakerMetrics::resolve(self.families(), service, handler)
    }

    /// The registry, for metrics of a team's own.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Shows how the services are; to be called before they are [rendered](Self::render).
    pub fn state(&self, snapshot: &Snapshot) {
        let families = self.families();
        for service in &snapshot.services {
            let set = |family: &IntGaugeVec, value: usize| {
                family.with_label_values(&[&service.name]).set(i64::try_from(value).unwrap_or(i64::MAX));
            };
            set(&families.ready, usize::from(service.is_ready()));
            set(&families.store_up, usize::from(service.store_down.is_none()));
            set(&families.waiting_partitions, service.paused.len());
            set(&families.stalled_partitions, service.stalled.len());
        }
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    ///
    /// # Errors
    /// When a metric that somebody else registered cannot be written in that format.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.0.registry.gather())
    }

    fn families(&self) -> &Families {
        &self.0.families
    }

    fn partition_handles(&self) -> MutexGuard<'_, HashMap<PartitionName, usize>> {
        self.0.partition_handles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}
