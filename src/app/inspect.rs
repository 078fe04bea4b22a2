//! Whether everything that these services rely on stands: asked by `check`, and by `run` before it begins.

use std::time::Duration;

use crate::{
    Service,
    check::{self, Creation, Finding, Horizon, Reliance},
    config::Settings,
    kafka::KafkaClient,
    store::DedupeStore,
    worker::group_of,
};

/// How long each question may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn inspect(
    settings: &Settings,
    services: &[Service],
    kafka: &KafkaClient,
    store: &dyn DedupeStore,
    create: bool,
) -> Vec<Finding> {
    let relied: Vec<Reliance> = services.iter().map(|service| reliance(settings, service)).collect();
    let creation = Creation { create, replication_factor: settings.topics.replication_factor };
    let mut findings = check::kafka(kafka, PATIENCE, &relied, creation).await;
    findings.extend(check::store(&store.describe().await));
    findings
}

fn reliance(settings: &Settings, service: &Service) -> Reliance {
    let topics = service.table().topics().map(|topic| settings.topics.physical(topic).to_owned());
    let published = service.published_topics().iter().map(|topic| settings.topics.physical(topic).to_owned());
    let horizon = |(name, retry_budget): (&str, Duration)| {
        let handler = settings.handler(service.name(), name);
        let handler_name = format!("{}.{name}", service.name());
        Horizon { handler: handler_name, ttl: handler.ttl, lease: handler.lease, retry_budget }
    };
    let handlers = service.table().iter().map(|(_, handler)| {
        let overrides = settings.handler(service.name(), handler.name()).retry;
        (handler.name(), overrides.over(handler.retry_policy()).budget)
    });
    Reliance {
        group: group_of(service, &settings.service(service.name())),
        topics: topics.collect(),
        publishes: published.collect(),
        horizons: handlers.map(horizon).collect(),
    }
}
