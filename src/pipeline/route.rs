//! A service at work, its topics and their handlers.

use std::{fmt, sync::Arc, time::Duration};

use prometheus::IntCounter;

use super::{
    How,
    capacity::Capacity,
    decode::{Decoded, decode},
    dedupe::Claims,
    dispatch::Crowd,
    gate::Gate,
    gates::Gates,
    hold::Hold,
    limits::Limits,
    produce::Producer,
    replaying::Replaying,
    retry::RetryPolicy,
    sent_on::decode_copy,
    status::{Status, age_at},
};
use crate::{
    Record,
    config::Ordering,
    erased::ErasedHandler,
    publication::Names,
    routes::Table,
    store::{Clock, KeySpace, OwnerFactory},
    telemetry::{HandlerMetrics, metrics::Outcome, spans::Process},
};

/// Hears of every record that is settled, and how.
pub(crate) type Told = Arc<dyn Fn(&Record, How) + Send + Sync>;

impl How {
    /// What it is counted as.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Done => Outcome::Done,
            Self::Skipped | Self::LeftOut => Outcome::Skipped,
            Self::Duplicate | Self::WasDead | Self::WasMoved => Outcome::Duplicate,
            Self::Deferred => Outcome::Deferred,
            Self::DeadLettered => Outcome::DeadLettered,
        }
    }
}

/// What the partitions of one service share.
pub(crate) struct ServiceRun {
    pub(crate) names: Arc<Names>,
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
    /// What its handlers' attempts pass.
    pub(crate) gates: Gates,
    pub(crate) owners: OwnerFactory,
    pub(crate) status: Arc<Status>,
    /// What times are read from: first failures, and letters.
    pub(crate) clock: Clock,
    /// Draws the jitter of delays, `0.0..1.0`.
    pub(crate) chance: fn() -> f64,
    pub(crate) told: Option<Told>,
    /// What is tried later may leave its lane: somebody reads the topics where it waits.
    pub(crate) sends_on: bool,
    pub(crate) replay: Option<Arc<Replaying>>,
    /// The topic where the ends of its events are written down, if they are.
    pub(crate) ledger: Option<String>,
    /// Whether its letters speak to Spring's consoles, too.
    pub(crate) spring_headers: bool,
}

impl fmt::Debug for ServiceRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceRun").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ServiceRun {
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.names.service
    }

    pub(crate) fn group(&self) -> &str {
        &self.names.group
    }

    /// The names under which the store knows the events of a handler.
    pub(crate) fn key_space(&self, handler: &str) -> KeySpace {
        let (prefix, group) = (self.prefix.as_str(), self.group());
        match &self.replay {
            Some(replay) => replay.key_space(prefix, group, handler),
            None => KeySpace::new(prefix, group, handler),
        }
    }

    /// A record is settled, counted as its handler's or as nobody's. `now` in milliseconds since 1970.
    pub(crate) fn settled(&self, metrics: &HandlerMetrics, how: How, record: &Record, now: i64) {
        self.all_settled(metrics, how, std::iter::once(record), now);
    }

    /// The same of several records with one handler.
    pub(crate) fn all_settled<'a>(
        &self,
        metrics: &HandlerMetrics,
        how: How,
        records: impl Iterator<Item = &'a Record> + Clone,
        now: i64,
    ) {
        let live = self.replay.is_none();
        let age = |record: &Record| record.timestamp.filter(|_| live).map(|then| age_at(now, then));
        metrics.settled(how.outcome(), records.clone().map(age));
        if let Some(told) = &self.told {
            records.for_each(|record| told(record, how));
        }
    }

    /// What a topic out is called in Kafka. One that is not declared any more, of an event stored before, is
    /// called as it was.
    pub(crate) fn physical(&self, topic: &str) -> String {
        let known = self.names.topics.as_ref().and_then(|topics| topics.get(topic));
        known.map_or(topic, String::as_str).to_owned()
    }
}

/// One topic of a service, and who handles its records.
#[derive(Clone)]
pub(crate) struct Topic {
    pub(crate) service: Arc<ServiceRun>,
    /// Those of the service.
    pub(crate) names: Arc<Names>,
    /// Physical name.
    pub(crate) name: Arc<str>,
    pub(crate) table: Table<Arc<Route>>,
    pub(crate) limits: Limits,
    /// Closed while a person has paused it, or its whole service; the copies of its records with it.
    pub(crate) hold: Arc<Hold>,
    /// Counts what no handler takes; where one takes every record, that one's.
    pub(crate) nobody: HandlerMetrics,
    /// Records received, counted apart from what became of them.
    pub(crate) consumed: IntCounter,
    /// The topic whose records come here again, of a topic of ours.
    pub(crate) copies_of: Option<Arc<str>>,
    /// How long they wait there, of a topic for what is tried later.
    pub(crate) delay: Option<Duration>,
}

impl Topic {
    /// The span of the work on a record that begins, where somebody records it.
    #[inline]
    pub(super) fn span(&self, record: &Arc<Record>, route: Option<&Route>) -> Option<Arc<Process>> {
        let deed = self.service.replay.as_ref().and_then(|replay| replay.deed());
        Process::begin(record, &self.service.names, route.map(|route| route.handler.name()), deed)
    }

    /// The same topic for one partition. Each event refers to its handler and to the service's names, and to count that
    /// would be a write for all processors to see, if all partitions had them in common.
    pub(super) fn apart(&self) -> Self {
        let table = self.table.clone().map(|route| Arc::new(route.apart()));
        Self { table, names: Arc::new((*self.names).clone()), ..self.clone() }
    }

    /// The topic of this name, which holds copies of ours of this topic's records. They are counted together.
    pub(crate) fn of_copies(&self, name: String, delay: Option<Duration>) -> Self {
        Self { copies_of: Some(Arc::clone(&self.name)), delay, name: name.into(), ..self.clone() }
    }

    /// Decodes one of its records. Also answers the handler it is for, as far as that is known.
    pub(super) fn decode(&self, record: &Arc<Record>) -> (Option<&Arc<Route>>, Decoded) {
        match &self.copies_of {
            None => decode(&self.table, self.limits, record),
            Some(source) => decode_copy(&self.table, self.limits, source, self.delay.is_some(), record),
        }
    }

    /// Where a record is counted that this handler takes, or nobody.
    pub(crate) fn metrics<'a>(&'a self, route: Option<&'a Route>) -> &'a HandlerMetrics {
        route.map_or(&self.nobody, |route| &route.metrics)
    }
}

/// One handler on one topic, with what the operator says about it.
pub(crate) struct Route {
    pub(crate) handler: Arc<dyn ErasedHandler>,
    /// What the store calls its events.
    pub(crate) keys: KeySpace,
    pub(crate) settings: RouteSettings,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: HandlerMetrics,
}

impl Route {
    fn apart(&self) -> Self {
        Self {
            handler: self.handler.apart(),
            keys: self.keys.clone(),
            settings: self.settings.clone(),
            gate: Arc::clone(&self.gate),
            metrics: self.metrics.clone(),
        }
    }
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
    /// How old a record is at its first attempt.
    pub(crate) first_delay: Duration,
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handlers: Vec<_> = self.table.iter().map(|route| route.handler.name()).collect();
        f.debug_struct("Topic")
            .field("service", self.service.name())
            .field("name", &self.name)
            .field("handlers", &handlers)
            .finish_non_exhaustive()
    }
}
