//! From settings and a service to its parts, running.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Control, Parts, Running};
use crate::{
    Service,
    config::{ServiceSettings, Settings},
    erased::ErasedHandler,
    kafka::{Group, Poller, Positions, Watcher},
    pipeline::{Bounds, Capacity, Claims, Crowd, Producer, Route, RouteSettings, ServiceRun, Status, Topic},
    routes::Table,
    store::OwnerFactory,
    telemetry::metrics::NO_HANDLER,
};

/// Events that are claimed while they wait for a place: enough that no handler waits for the store's round trip, and
/// few enough that a crash holds up no more than what was about to run.
const NEAR: usize = 256;

/// What all services of a process share.
pub(super) struct Wiring<'a> {
    pub(super) settings: &'a Settings,
    pub(super) parts: &'a Parts,
    pub(super) producer: Arc<dyn Producer>,
    pub(super) crowd: Crowd,
    pub(super) owners: OwnerFactory,
    pub(super) control: &'a Control,
    pub(super) handlers: &'a Handle,
    pub(super) stop: &'a CancellationToken,
}

impl Wiring<'_> {
    pub(super) fn start(&self, service: &Service) -> Result<Running, String> {
        let _entered = self.handlers.enter();
        let settings = self.settings.service(service.name());
        let run = self.run(service, &settings);
        let topics: Vec<Arc<Topic>> = service
            .table()
            .tables()
            .into_iter()
            .map(|(topic, table)| Arc::new(self.topic(&run, topic, table)))
            .collect();
        self.keep_claims_alive(&run, &topics);
        let group = Group {
            positions: Positions {
                group: run.group.clone(),
                start_from: settings.worker.start_from,
                store: Arc::clone(&self.parts.store),
                control: self.control.handle(),
            },
            service: Arc::clone(&run),
            topics: topics.into_iter().map(|topic| (topic.name.to_string(), topic)).collect(),
            bounds: Bounds {
                records: settings.worker.max_in_flight,
                bytes: usize::try_from(settings.worker.max_in_flight_bytes).unwrap_or(usize::MAX),
            },
            drain_timeout: settings.worker.drain_timeout,
            revoke_timeout: settings.worker.drain_timeout.min(self.parts.kafka.poll_interval() / 2),
            runtime: self.handlers.clone(),
            watcher: Watcher::default(),
            assignment: Default::default(),
            look_now: Default::default(),
            loss_seen: Default::default(),
            control: self.control.handle(),
            stop: self.stop.clone(),
        };
        let poller = Poller::start(&self.parts.kafka, group, settings.worker.commit_interval);
        let poller = poller.map_err(|fault| format!("service {}: {fault}", service.name()))?;
        Ok(Running { run, poller })
    }

    fn run(&self, service: &Service, settings: &ServiceSettings) -> Arc<ServiceRun> {
        let metrics = self.parts.metrics.service(service.name());
        let health = self.parts.health.service(service.name());
        let status = Arc::new(Status::new(metrics, health, settings.dedupe.on_unavailable));
        Arc::new(ServiceRun {
            name: service.name().into(),
            publishes: Arc::new(self.published(service)),
            group: group_of(service, settings),
            ordering: settings.worker.ordering,
            prefix: settings.dedupe.prefix.clone(),
            claims: Claims::new(Arc::clone(&self.parts.store), Arc::clone(&status), self.control.handle()),
            producer: Arc::clone(&self.producer),
            capacity: Capacity::new(settings.worker.concurrency),
            near: Capacity::new(settings.worker.concurrency + NEAR),
            crowd: self.crowd.clone(),
            owners: self.owners.clone(),
            status,
        })
    }

    fn published(&self, service: &Service) -> BTreeMap<String, String> {
        let physical = |topic: &String| (topic.clone(), self.settings.topics.physical(topic).to_owned());
        service.published_topics().iter().map(physical).collect()
    }

    fn topic(&self, run: &Arc<ServiceRun>, topic: &str, table: Table<Arc<dyn ErasedHandler>>) -> Topic {
        let name: Arc<str> = self.settings.topics.physical(topic).into();
        let table = table.map(|handler| self.route(run, &name, handler));
        let nobody = || self.parts.metrics.handler(&run.name, &name, NO_HANDLER);
        Topic {
            nobody: table.whole().map_or_else(nobody, |route| route.metrics.clone()),
            table,
            consumed: run.status.metrics.consumed(&name),
            service: Arc::clone(run),
            name,
        }
    }

    fn route(&self, run: &ServiceRun, topic: &str, handler: Arc<dyn ErasedHandler>) -> Route {
        let settings = self.settings.handler(&run.name, handler.name());
        Route {
            metrics: self.parts.metrics.handler(&run.name, topic, handler.name()),
            settings: RouteSettings {
                retry: settings.retry.over(handler.retry_policy()),
                lease: settings.lease,
                ttl: settings.ttl,
                max_deliveries: settings.max_deliveries,
                timeout: settings.timeout,
            },
            handler,
        }
    }

    fn keep_claims_alive(&self, run: &Arc<ServiceRun>, topics: &[Arc<Topic>]) {
        let leases = topics.iter().flat_map(|topic| topic.table.iter()).map(|route| route.settings.lease);
        let lease = leases.min().unwrap_or(Duration::from_secs(10));
        let run = Arc::clone(run);
        self.control.handle().spawn(async move {
            let mut turns = tokio::time::interval(lease / 3);
            turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                turns.tick().await;
                run.claims.renew().await;
            }
        });
    }
}

/// The consumer group: the configuration's word counts before the code's.
pub(crate) fn group_of(service: &Service, settings: &ServiceSettings) -> String {
    settings.group.clone().unwrap_or_else(|| service.default_group().to_owned())
}
