//! From settings and a service to its parts, running.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{Control, Parts, Running};
use crate::{
    Service,
    config::{ServiceSettings, Settings},
    erased::ErasedHandler,
    kafka::{Group, Poller, Positions, Watcher},
    pipeline::{Bounds, Capacity, Claims, Crowd, DeadLetters, Route, RouteSettings, ServiceRun, Status},
    store::OwnerFactory,
};

/// Events that are claimed while they wait for a place: enough that no handler waits for the store's round trip, and
/// few enough that a crash holds up no more than what was about to run.
const NEAR: usize = 256;

/// What all services of a process share.
pub(super) struct Wiring<'a> {
    pub(super) settings: &'a Settings,
    pub(super) parts: &'a Parts,
    pub(super) letters: Arc<dyn DeadLetters>,
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
        let routes: Vec<Arc<Route>> =
            service.table().iter().map(|(topic, handler)| self.route(&run, topic, handler)).collect();
        self.keep_claims_alive(&run, &routes);
        let group = Group {
            positions: Positions {
                group: run.group.clone(),
                start_from: settings.worker.start_from,
                store: Arc::clone(&self.parts.store),
                control: self.control.handle(),
            },
            service: Arc::clone(&run),
            routes: routes.into_iter().map(|route| (route.topic.to_string(), route)).collect(),
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
            publishes: Arc::new(service.published_topics().clone()),
            group: group_of(service, settings),
            ordering: settings.worker.ordering,
            prefix: settings.dedupe.prefix.clone(),
            claims: Claims::new(Arc::clone(&self.parts.store), Arc::clone(&status), self.control.handle()),
            dead_letters: Arc::clone(&self.letters),
            capacity: Capacity::new(settings.worker.concurrency),
            near: Capacity::new(settings.worker.concurrency + NEAR),
            crowd: self.crowd.clone(),
            owners: self.owners.clone(),
            status,
        })
    }

    fn route(&self, run: &Arc<ServiceRun>, topic: &str, handler: &Arc<dyn ErasedHandler>) -> Arc<Route> {
        let settings = self.settings.handler(&run.name, handler.name());
        let topic: Arc<str> = self.settings.topics.physical(topic).into();
        Arc::new(Route {
            metrics: self.parts.metrics.handler(&run.name, &topic, handler.name()),
            consumed: run.status.metrics.consumed(&topic),
            settings: RouteSettings {
                retry: settings.retry.over(handler.retry_policy()),
                lease: settings.lease,
                ttl: settings.ttl_over(handler.ttl()),
                max_deliveries: settings.max_deliveries,
                timeout: settings.timeout,
            },
            service: Arc::clone(run),
            topic,
            handler: Arc::clone(handler),
        })
    }

    fn keep_claims_alive(&self, run: &Arc<ServiceRun>, routes: &[Arc<Route>]) {
        let lease = routes.iter().map(|route| route.settings.lease).min().unwrap_or(Duration::from_secs(10));
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
