//! The whole picture of this process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    findings::{Around, Severity, find},
    history::{History, Point, Sample, Series, per_second},
    partitions::PartitionsSeries,
    service::{HandlerNow, ServiceNow},
};
use crate::{
    Service,
    admin::Stage,
    config::Settings,
    telemetry::{Health, Metrics, ServiceSnapshot, metrics::Reading},
    worker::{Board, group_of, hostname},
};

/// What is looked at, and what was seen before.
#[derive(Debug)]
pub(in crate::admin) struct Watched {
    settings: Settings,
    services: Vec<Service>,
    metrics: Metrics,
    health: Health,
    board: Board,
    pod: String,
    since: Timestamp,
    history: Mutex<History>,
}

/// This process at one moment.
#[derive(Debug, Serialize)]
pub(super) struct ProcessNow {
    version: &'static str,
    pod: String,
    at: Timestamp,
    started_at: Timestamp,
    uptime_seconds: i64,
    health: HealthNow,
    services: Vec<ServiceNow>,
}

/// What the probes answer.
#[derive(Debug, Serialize)]
struct HealthNow {
    live: bool,
    ready: bool,
    started: bool,
    /// Why one of them is not so.
    reasons: Vec<String>,
}

impl Watched {
    pub(in crate::admin) fn new(stage: &Stage) -> Arc<Self> {
        Arc::new(Self {
            settings: stage.settings.clone(),
            services: stage.services.clone(),
            metrics: stage.parts.metrics.clone(),
            health: stage.parts.health.clone(),
            board: stage.board.clone(),
            pod: hostname(),
            since: Timestamp::now(),
            history: Mutex::default(),
        })
    }

    /// The whole picture.
    pub(super) fn now(&self) -> ProcessNow {
        let (at, snapshot) = (Timestamp::now(), self.health.snapshot());
        let mut services = self.services_now();
        for service in &mut services {
            let health = snapshot.services.iter().find(|health| health.name == service.name);
            let health = health.cloned().unwrap_or_default();
            let (now, before) = (Point::of(service), self.before(at.as_millisecond(), &service.name));
            let (then, before) = before.unwrap_or_else(|| (at.as_millisecond(), now.clone()));
            service.settled_per_second =
                per_second((then, Some(before.work)), (at.as_millisecond(), Some(now.work)), |work| {
                    work.settled
                });
            let stale_after = snapshot.stale_after;
            service.findings =
                find(service, &Around { health: &health, stale_after, before: &before, now: &now });
            service.state = state(service, &health);
        }
        let (live, ready, started) = (snapshot.livez(), snapshot.readyz(), snapshot.startupz());
        let mut reasons: Vec<String> = Vec::new();
        for answer in [&live, &ready, &started] {
            reasons.extend(
                answer.reasons.iter().filter(|reason| !reasons.contains(reason)).cloned().collect::<Vec<_>>(),
            );
        }
        ProcessNow {
            version: env!("CARGO_PKG_VERSION"),
            pod: self.pod.clone(),
            at,
            started_at: self.since,
            uptime_seconds: at.duration_since(self.since).as_secs(),
            health: HealthNow { live: live.is_ok(), ready: ready.is_ok(), started: started.is_ok(), reasons },
            services,
        }
    }

    pub(super) fn series(&self) -> Series {
        self.history().series()
    }

    /// The same of the partitions of one service; `None` where there is no such service.
    pub(super) fn partitions(&self, service: &str) -> Option<PartitionsSeries> {
        let is_here = self.services.iter().any(|known| known.name() == service);
        is_here.then(|| self.history().partitions(service))
    }

    /// Keeps how everything is now.
    pub(super) fn sample(&self) {
        let services = self.services_now();
        let services: BTreeMap<_, _> =
            services.iter().map(|service| (service.name.clone(), Point::of(service))).collect();
        self.history().add(Sample { at: Timestamp::now().as_millisecond(), services });
    }

    /// The service about a minute ago, and when that was.
    fn before(&self, now: i64, service: &str) -> Option<(i64, Point)> {
        let history = self.history();
        let sample = history.a_minute_before(now)?;
        Some((sample.at, sample.services.get(service)?.clone()))
    }

    fn services_now(&self) -> Vec<ServiceNow> {
        let reading = self.metrics.read();
        self.services.iter().map(|service| self.service(service, &reading)).collect()
    }

    fn service(&self, service: &Service, reading: &Reading) -> ServiceNow {
        let name = service.name();
        let group = group_of(service, &self.settings.service(name));
        let handler = |(topic, handler): (&str, &Arc<dyn crate::erased::ErasedHandler>)| {
            HandlerNow::of(name, self.settings.topics.physical(topic), handler.name(), reading)
        };
        ServiceNow {
            handlers: service.table().iter().map(handler).collect(),
            ..ServiceNow::of(name, &group, self.board.seen(name), reading)
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The service in one word.
fn state(service: &ServiceNow, health: &ServiceSnapshot) -> &'static str {
    if health.stopping {
        return "stopping";
    }
    if !health.started {
        return "starting";
    }
    if service.findings.iter().any(|finding| finding.severity == Severity::Error) {
        return "degraded";
    }
    if service.paused == Some(true) { "paused" } else { "working" }
}
