//! Whether everything a worker relies on stands as it should: Kafka, its topics, the store.
//!
//! Asking is done here; judging is done by pure rules.

mod accept;
mod finding;
mod layout;
mod left;
mod rules;
mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

pub use accept::{Accept, AcceptError};
pub use finding::{Finding, State, failed};
pub(crate) use layout::layouts;
pub(crate) use rules::ledger;
pub use rules::{Horizon, replicas, store};
pub use table::{render, terminal_width};

use crate::{
    fleet::lag_of,
    kafka::{
        Ensured, FaultKind, GroupOffsets, KafkaClient, KafkaFault, TopicAdmin, TopicInfo, TopicPlan,
        topic_names,
    },
    pipeline::sent_on::{redrive_topic, retry_topic},
};

/// What one service relies on.
#[derive(Debug, Clone)]
pub struct Reliance {
    /// The service's consumer group.
    pub group: String,
    /// Physical names of the topics it consumes.
    pub topics: Vec<String>,
    /// Physical names of the topics it publishes to.
    pub publishes: Vec<String>,
    /// For each of them, the delays after which its records may be tried later.
    pub later: BTreeMap<String, BTreeSet<Duration>>,
    /// Physical name of its ledger, where it keeps one.
    pub ledger: Option<String>,
    /// One for each handler.
    pub horizons: Vec<Horizon>,
}

/// Whether topics of ours that are missing are created, and with how many copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation {
    /// Create what is missing.
    pub create: bool,
    /// Whatever is missing a worker creates at its start (`topics.create`), so that it is no problem before that.
    pub by_workers: bool,
    /// Copies of each partition; `None` takes the source's.
    pub replication_factor: Option<i32>,
}

/// Asks Kafka about everything these services rely on; creates topics of ours where wanted. Each single
/// question waits for `timeout` at most.
pub async fn kafka(
    client: &KafkaClient,
    timeout: Duration,
    services: &[Reliance],
    creation: Creation,
) -> Vec<Finding> {
    match ask(client, timeout, services, creation).await {
        Ok(findings) => findings,
        // Without an answer every further line would say the same.
        Err(fault) => vec![rules::no_broker(&fault)],
    }
}

/// Looks at the topic of what operators do; makes it where wanted. Nothing is found where no broker answers, which
/// [`kafka`] has said by then.
pub async fn audit(client: &KafkaClient, timeout: Duration, topic: &str, creation: Creation) -> Vec<Finding> {
    let plan = TopicPlan::audit(topic, creation.replication_factor);
    let ensured = match TopicAdmin::new(client, timeout) {
        Ok(admin) => admin.ensure(&plan, creation.create).await,
        Err(_) => return Vec::new(),
    };
    match ensured {
        Err(fault) if matches!(fault.kind, FaultKind::Unreachable | FaultKind::Untrusted) => Vec::new(),
        ensured => rules::audit(&plan, &ensured),
    }
}

/// Looks at the topic by which operators speak to all pods; makes it where wanted. As for [`audit`], nothing is found
/// where no broker answers.
pub async fn control(
    client: &KafkaClient,
    timeout: Duration,
    topic: &str,
    creation: Creation,
) -> Vec<Finding> {
    let plan = TopicPlan::control(topic, creation.replication_factor);
    let ensured = match TopicAdmin::new(client, timeout) {
        Ok(admin) => admin.ensure(&plan, creation.create).await,
        Err(_) => return Vec::new(),
    };
    match ensured {
        Err(fault) if matches!(fault.kind, FaultKind::Unreachable | FaultKind::Untrusted) => Vec::new(),
        ensured => rules::control(&plan, &ensured),
    }
}

async fn ask(
    client: &KafkaClient,
    timeout: Duration,
    services: &[Reliance],
    creation: Creation,
) -> Result<Vec<Finding>, KafkaFault> {
    let admin = &TopicAdmin::new(client, timeout)?;
    let cluster = admin.cluster().await?;
    let offsets_kept = admin.offsets_retention(&cluster).await.unwrap_or_else(|fault| {
        tracing::debug!(%fault, "offsets.retention.minutes cannot be read");
        None
    });
    let mut findings = vec![rules::broker(&cluster)];
    let mut sources = BTreeMap::new();
    for topic in services.iter().flat_map(|service| &service.topics) {
        if !sources.contains_key(topic.as_str()) {
            let source = admin.describe(topic).await;
            findings.push(rules::source(topic, &source));
            sources.insert(topic.as_str(), source);
        }
    }
    let targets: BTreeSet<&String> = services.iter().flat_map(|service| &service.publishes).collect();
    for topic in targets.into_iter().filter(|topic| !sources.contains_key(topic.as_str())) {
        findings.push(rules::target(topic, &admin.describe(topic).await));
    }
    for service in services {
        let known = || service.topics.iter().filter_map(|topic| there(sources.get(topic.as_str())));
        for source in known() {
            let plan = TopicPlan::dead_letter(source, &service.group, creation.replication_factor);
            findings.extend(ensured(admin, &plan, creation).await);
            let name = redrive_topic(&source.name, &service.group);
            let plan = TopicPlan::copy_of(source, name, creation.replication_factor);
            findings.extend(rules::redriven(&plan, &admin.describe(&plan.name).await));
            for delay in service.later.get(&source.name).into_iter().flatten() {
                let name = retry_topic(&source.name, &service.group, *delay);
                let plan = TopicPlan::copy_of(source, name, creation.replication_factor);
                findings.extend(ensured(admin, &plan, creation).await);
            }
        }
        if let Some(ledger) = &service.ledger {
            let plan = TopicPlan::ledger(ledger.clone(), known(), creation.replication_factor);
            findings.extend(ensured(admin, &plan, creation).await);
        }
        if let Some(source) = known().next() {
            findings.extend(group(client, &service.group, &source.name).await);
        }
        let left = left_over(client, service).await;
        findings.extend(left.unwrap_or_else(|fault| vec![left::unknown(&service.group, &fault)]));
        for horizon in &service.horizons {
            findings.extend(rules::memory(horizon, known(), offsets_kept));
        }
    }
    Ok(findings)
}

/// What waits to be tried later where nobody sends anything any more.
async fn left_over(client: &KafkaClient, service: &Reliance) -> Result<Vec<Finding>, KafkaFault> {
    let (client, service) = (client.clone(), service.clone());
    let look = move || -> Result<Vec<Finding>, KafkaFault> {
        let left = left::left(&topic_names(&client)?, &service);
        let lag = lag_of(&client, &service.group, |topic| left.iter().any(|left| left.topic == topic))?;
        if let Some(why) = lag.iter().find_map(|lag| lag.unknown.as_ref()) {
            return Err(KafkaFault::new(FaultKind::Other, why.clone()));
        }
        // Where nothing was ever written nothing waits, whatever is committed.
        let waiting = |topic: &str| -> Option<i64> {
            let of_it = lag.iter().filter(|lag| lag.topic == topic);
            of_it.map(|lag| lag.lag.or((lag.end == Some(0)).then_some(0))).sum()
        };
        Ok(left.iter().map(|left| left::judge(left, waiting(&left.topic))).collect())
    };
    let cut_off = |_| Err(KafkaFault::new(FaultKind::Other, "the call was cut off"));
    tokio::task::spawn_blocking(look).await.unwrap_or_else(cut_off)
}

/// What keeps this user from reading as the group; whatever else goes wrong there is no matter of a start.
async fn group(client: &KafkaClient, group: &str, topic: &str) -> Option<Finding> {
    let (client, name, topic) = (client.clone(), group.to_owned(), topic.to_owned());
    let look = move || GroupOffsets::open(&client, &name).ok()?.refusal(&topic);
    let fault = tokio::task::spawn_blocking(look).await.ok()??;
    Some(rules::group(group, &fault))
}

fn there(source: Option<&Result<Option<TopicInfo>, KafkaFault>>) -> Option<&TopicInfo> {
    source?.as_ref().ok()?.as_ref()
}

/// A topic without which no worker begins.
async fn ensured(admin: &TopicAdmin, plan: &TopicPlan, creation: Creation) -> Vec<Finding> {
    match admin.ensure(plan, creation.create).await {
        Ok(Ensured::Missing) if creation.by_workers => vec![Finding::warning(
            format!("topic {}", plan.name),
            "does not exist yet",
            "worker run creates it at its start (topics.create = true), worker check --create now",
        )],
        ensured => rules::ours(plan, &ensured),
    }
}
