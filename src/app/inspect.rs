//! Whether everything that these services rely on stands: asked by `check`, and by `run` before it begins.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    Service,
    check::{self, Creation, Finding, Horizon, Reliance},
    config::Settings,
    kafka::KafkaClient,
    ledger::Keeper,
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
    let creation = creation(settings, create);
    let mut findings = check::kafka(kafka, PATIENCE, &relied, creation).await;
    let report = store.describe().await;
    let mut store_findings = check::store(&report);
    store_findings
        .extend(report.ok().and_then(|report| check::replicas(&report, settings.redis.wait_replicas)));
    let all_answer = !check::failed(&findings) && !check::failed(&store_findings);
    findings.extend(store_findings);
    let of_service = |(service, relied): (&Service, &'_ Reliance)| {
        let layout = settings.service(service.name()).dedupe.layout;
        relied
            .horizons
            .iter()
            .map(|horizon| (horizon.handler.clone(), layout, horizon.ttl))
            .collect::<Vec<_>>()
    };
    let handlers: Vec<_> = services.iter().zip(&relied).flat_map(of_service).collect();
    findings.extend(check::layouts(&handlers));
    // Whoever does not answer has been named by then.
    if all_answer {
        for service in services {
            findings.extend(ledger(settings, service, kafka, store).await);
        }
    }
    if let Some(control) = &settings.topics.control
        && all_answer
    {
        findings.extend(check::control(kafka, PATIENCE, control, creation).await);
    }
    findings
}

/// What becomes of topics of ours that are missing.
pub(super) fn creation(settings: &Settings, create: bool) -> Creation {
    let topics = &settings.topics;
    Creation { create, by_workers: topics.create, replication_factor: topics.replication_factor }
}

async fn ledger(
    settings: &Settings,
    service: &Service,
    kafka: &KafkaClient,
    store: &dyn DedupeStore,
) -> Vec<Finding> {
    let Ok(keeper) = Keeper::new(settings, service, kafka) else { return Vec::new() };
    match keeper.report(store).await {
        Ok(reports) => reports.iter().map(check::ledger).collect(),
        Err(error) => {
            tracing::debug!(%error, "since when the ledger is complete is not known");
            Vec::new()
        }
    }
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
    let mut later: BTreeMap<String, BTreeSet<Duration>> = BTreeMap::new();
    for (topic, handler) in service.table().iter() {
        let policy = settings.handler(service.name(), handler.name()).retry.over(handler.retry_policy());
        later.entry(settings.topics.physical(topic).to_owned()).or_default().extend(policy.later.iter());
    }
    Reliance {
        later,
        group: group_of(service, &settings.service(service.name())),
        topics: topics.collect(),
        publishes: published.collect(),
        ledger: ledger_of(service, settings),
        horizons: horizons.collect(),
    }
}
