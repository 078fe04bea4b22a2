//! What becomes of a service apart from Kafka: its claims, its places, its routes.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{group_of, ledger_of};
use crate::{
    Service,
    config::Settings,
    erased::ErasedHandler,
    pipeline::{
        Capacity, Claims, Crowd, Gate, Gates, Hold, Limits, Producer, Replaying, Route, RouteSettings,
        ServiceRun, Status, Told, Topic,
    },
    publication::Names,
    routes::Table,
    store::{Clock, DedupeStore, OwnerFactory},
    telemetry::{Health, Metrics, metrics::NO_HANDLER},
};

/// Events that are claimed while they wait for a place: enough that no handler waits for the store's round trip, and
/// few enough that a crash holds up no more than what was about to run.
const NEAR: usize = 256;

/// What all services of a process share.
pub(crate) struct Assembly<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) store: Arc<dyn DedupeStore>,
    pub(crate) producer: Arc<dyn Producer>,
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(crate) crowd: Crowd,
    pub(crate) owners: OwnerFactory,
    /// Where claims are renewed.
    pub(crate) control: Handle,
    pub(crate) clock: Clock,
    pub(crate) chance: fn() -> f64,
    pub(crate) told: Option<Told>,
    /// What is tried later may leave its lane: the topics where it waits are read.
    pub(crate) sends_on: bool,
    pub(crate) replay: Option<Arc<Replaying>>,
}

impl Assembly<'_> {
    /// A service at work. Must be called inside of the runtime of its handlers.
    pub(crate) fn run(&self, service: &Service) -> Arc<ServiceRun> {
        let settings = self.settings.service(service.name());
        let metrics = self.metrics.service(&self.counted_as(service.name()));
        let health = self.health.service(service.name());
        let status = Arc::new(Status::new(metrics, health, settings.dedupe.on_unavailable));
        Arc::new(ServiceRun {
            names: Arc::new(Names {
                service: service.name().into(),
                group: group_of(service, &settings).into(),
                topics: Some(self.published(service)),
            }),
            ordering: settings.worker.ordering,
            prefix: settings.dedupe.prefix.clone(),
            claims: Claims::new(
                Arc::clone(&self.store),
                settings.dedupe.layout,
                Arc::clone(&status),
                self.control.clone(),
            ),
            producer: Arc::clone(&self.producer),
            capacity: Capacity::new(settings.worker.concurrency),
            near: Capacity::new(settings.worker.concurrency + NEAR),
            crowd: self.crowd.clone(),
            gates: Gates::default(),
            owners: self.owners.clone(),
            status,
            clock: self.clock,
            chance: self.chance,
            told: self.told.clone(),
            sends_on: self.sends_on,
            replay: self.replay.clone(),
            ledger: ledger_of(service, self.settings),
            spring_headers: self.settings.dead_letter.spring_headers,
        })
    }

    /// The service's name in metrics. What replays do is counted apart, under a name that no service can have.
    fn counted_as(&self, service: &str) -> String {
        if self.replay.is_some() { format!("{service}:replay") } else { service.to_owned() }
    }

    fn published(&self, service: &Service) -> BTreeMap<String, String> {
        let physical = |topic: &String| (topic.clone(), self.settings.topics.physical(topic).to_owned());
        service.published_topics().iter().map(physical).collect()
    }

    /// One of its topics.
    pub(crate) fn topic(
        &self,
        run: &Arc<ServiceRun>,
        topic: &str,
        table: Table<Arc<dyn ErasedHandler>>,
    ) -> Topic {
        let name: Arc<str> = self.settings.topics.physical(topic).into();
        let table = table.map(|handler| Arc::new(self.route(run, &name, handler)));
        let nobody = || self.metrics.handler(&self.counted_as(run.name()), &name, NO_HANDLER);
        Topic {
            nobody: table.whole().map_or_else(nobody, |route| route.metrics.clone()),
            table,
            hold: Arc::new(Hold::default()),
            limits: Limits::of(&self.settings.service(run.name()).worker),
            consumed: run.status.metrics.consumed(&name),
            service: Arc::clone(run),
            names: Arc::clone(&run.names),
            name,
            copies_of: None,
            delay: None,
        }
    }

    fn route(&self, run: &ServiceRun, topic: &str, handler: Arc<dyn ErasedHandler>) -> Route {
        let settings = self.settings.handler(run.name(), handler.name());
        let counted_as = self.counted_as(run.name());
        let gate = || {
            let rate = settings.rate_limit_over(handler.rate_limit());
            let metrics = self.metrics.breaker(&counted_as, handler.name());
            Gate::new(handler.name(), settings.breaker, rate, metrics, run.status.health.clone())
        };
        Route {
            gate: run.gates.of(handler.name(), gate),
            metrics: self.metrics.handler(&counted_as, topic, handler.name()),
            settings: RouteSettings {
                retry: settings.retry.over(handler.retry_policy()),
                lease: settings.lease,
                ttl: settings.ttl_over(handler.ttl()),
                max_deliveries: settings.max_deliveries,
                timeout: settings.timeout,
                first_delay: settings.first_delay_over(handler.first_delay()),
            },
            keys: run.key_space(handler.name()),
            handler,
        }
    }

    /// Renews the claims of these topics' handlers for as long as the task runs.
    pub(crate) fn keep_claims_alive(&self, run: &Arc<ServiceRun>, topics: &[Arc<Topic>]) -> JoinHandle<()> {
        let leases = topics.iter().flat_map(|topic| topic.table.iter()).map(|route| route.settings.lease);
        let lease = leases.min().unwrap_or(Duration::from_secs(10));
        let run = Arc::clone(run);
        self.control.spawn(async move {
            let mut turns = tokio::time::interval(lease / 3);
            turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                turns.tick().await;
                run.claims.renew().await;
            }
        })
    }
}
