//! A service at work, and one of its topics.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use prometheus::IntCounter;

use super::{
    How, capacity::Capacity, dedupe::Claims, dispatch::Crowd, produce::Producer, replaying::Replaying,
    retry::RetryPolicy, status::Status,
};
use crate::{
    Record,
    config::Ordering,
    erased::ErasedHandler,
    store::{Clock, OwnerFactory, StoreKey},
    telemetry::HandlerMetrics,
};

/// Hears of every record that is settled, and how.
pub(crate) type Told = Arc<dyn Fn(&Record, How) + Send + Sync>;

/// What the partitions of one service share.
pub(crate) struct ServiceRun {
    pub(crate) name: Arc<str>,
    pub(crate) group: String,
    /// The topics its handlers publish to: logical names to physical ones.
    pub(crate) publishes: Arc<BTreeMap<String, String>>,
    pub(crate) ordering: Ordering,
    /// First part of every key in the store.
    pub(crate) prefix: String,
    pub(crate) claims: Claims,
    pub(crate) producer: Arc<dyn Producer>,
    /// Places for running handlers.
    pub(crate) capacity: Arc<Capacity>,
    /// Places for events whose handlers run or will run soon: so many have claims.
    pub(crate) near: Arc<Capacity>,
    pub(crate) crowd: Crowd,
    pub(crate) owners: OwnerFactory,
    pub(crate) status: Arc<Status>,
    /// What times are read from: first failures, and letters.
    pub(crate) clock: Clock,
    /// Draws the jitter of delays, `0.0..1.0`.
    pub(crate) chance: fn() -> f64,
    pub(crate) told: Option<Told>,
    pub(crate) replay: Option<Arc<Replaying>>,
}

impl fmt::Debug for ServiceRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRun")
            .field("name", &self.name)
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl ServiceRun {
    /// The name under which the store knows an event of this service.
    pub(crate) fn store_key(&self, handler: &str, key: &str) -> StoreKey {
        let (prefix, group) = (&self.prefix, &self.group);
        match &self.replay {
            Some(replay) => replay.store_key(prefix, group, handler, key),
            None => StoreKey::new(prefix, group, handler, key),
        }
    }

    /// What a topic out is called in Kafka. One that is not declared any more, of an event stored before, is
    /// called as it was.
    pub(crate) fn physical(&self, topic: &str) -> String {
        self.publishes.get(topic).map_or(topic, String::as_str).to_owned()
    }
}

/// One topic of a service, with its handler and what the operator says about it.
pub(crate) struct Route {
    pub(crate) service: Arc<ServiceRun>,
    /// Physical name.
    pub(crate) topic: Arc<str>,
    pub(crate) handler: Arc<dyn ErasedHandler>,
    pub(crate) settings: RouteSettings,
    pub(crate) metrics: HandlerMetrics,
    /// Records received, counted apart from what became of them.
    pub(crate) consumed: IntCounter,
}

/// What an operator may tune for one handler.
#[derive(Debug, Clone)]
pub(crate) struct RouteSettings {
    pub(crate) retry: RetryPolicy,
    /// How long a claim lives without renewal.
    pub(crate) lease: Duration,
    /// How long the store remembers an event.
    pub(crate) ttl: Duration,
    /// How often an event may kill its worker while it runs alone.
    pub(crate) max_deliveries: u32,
    /// How long one attempt may take.
    pub(crate) timeout: Duration,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route")
            .field("service", &self.service.name)
            .field("topic", &self.topic)
            .field("handler", &self.handler.name())
            .finish_non_exhaustive()
    }
}
