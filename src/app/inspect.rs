//! Whether everything that these services rely on stands: asked by `check`, and by `run` before it begins.

use std::time::Duration;

use crate::{
    Service,
    check::{self, Creation, Finding, Horizon, Reliance},
    config::Settings,
    kafka::KafkaClient,
    store::DedupeStore,
    worker::{group_of, ledger_of},
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
    let horizons = service.table().iter().map(|(_, handler)| {
        let settings = settings.handler(service.name(), handler.name());
        Horizon {
            handler: format!("{}.{}", service.name(), handler.name()),
            ttl: settings.ttl_over(handler.ttl()),
            lease: settings.lease,
            retry_budget: settings.retry.over(handler.retry_policy()).budget,
        }
    });
    Reliance {
        group: group_of(service, &settings.service(service.name())),
        topics: topics.collect(),
        publishes: published.collect(),
        ledger: ledger_of(service, settings),
        horizons: horizons.collect(),
    }
}
