//! What is fine, what may surprise, and what loses or doubles events. Pure: nothing here asks anybody.

use std::time::Duration;

use super::{Finding, State};
use crate::{
    kafka::{Cluster, Ensured, FaultKind, KafkaFault, Kept, TopicConfig, TopicInfo, TopicPlan},
    ledger::{Report, Since},
    store::{self, StoreFault, StoreReport},
};

/// The oldest Redis with everything that is used: functions.
const OLDEST_REDIS: (u32, u32) = (7, 0);
/// The share of the store's memory limit above which it is time to act, in percent.
const MEMORY_WARNING: u64 = 80;

/// How long a handler's events are remembered, and how long one may be on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// `service.handler`.
    pub handler: String,
    /// How long a finished event is remembered.
    pub ttl: Duration,
    /// How long a claim lasts without renewal.
    pub lease: Duration,
    /// How long a failing event is retried in all.
    pub retry_budget: Duration,
}

pub(super) fn no_broker(fault: &KafkaFault) -> Finding {
    let advice = match fault.kind {
        FaultKind::Refused => "check user, password and mechanism in [kafka.properties]",
        FaultKind::Untrusted => {
            "check the certificates in [kafka.properties], and the names in [kafka] brokers"
        }
        FaultKind::Misconfigured => "correct [kafka.properties]",
        _ => "check [kafka] brokers, and whether this machine reaches them",
    };
    Finding::problem("Kafka", &fault.message, advice)
}

pub(super) fn broker(cluster: &Cluster) -> Finding {
    let count = cluster.brokers.len();
    let brokers = if count == 1 { "1 broker".to_owned() } else { format!("{count} brokers") };
    let id = cluster.id.as_deref().map_or(String::new(), |id| format!(", cluster {id}"));
    Finding::fine("Kafka", format!("{brokers}{id}"))
}

pub(super) fn source(name: &str, source: &Result<Option<TopicInfo>, KafkaFault>) -> Finding {
    let subject = format!("topic {name}");
    match source {
        Ok(Some(topic)) => Finding::fine(subject, shape(topic.partitions, Some(topic.replication_factor))),
        Ok(None) => Finding::problem(
            subject,
            "does not exist",
            format!(
                "create it (kafka-topics.sh --create --topic {name} --partitions N), or correct its name under [topics.names]; \
                 sources are never created here"
            ),
        ),
        Err(fault) => unseen(subject, fault, "grant Describe and Read on it to this user"),
    }
}

pub(super) fn target(name: &str, target: &Result<Option<TopicInfo>, KafkaFault>) -> Finding {
    let subject = format!("topic {name}");
    match target {
        Ok(Some(topic)) => Finding::fine(subject, shape(topic.partitions, Some(topic.replication_factor))),
        Ok(None) => Finding::problem(
            subject,
            "does not exist, and handlers publish to it",
            format!(
                "create it (kafka-topics.sh --create --topic {name} --partitions N), or correct its name under [topics.names]; \
                 it belongs to whoever reads it"
            ),
        ),
        Err(fault) => unseen(subject, fault, "grant Describe and Write on it to this user"),
    }
}

pub(super) fn ours(plan: &TopicPlan, ensured: &Result<Ensured, KafkaFault>) -> Vec<Finding> {
    let subject = || format!("topic {}", plan.name);
    let shape = || shape(plan.partitions, plan.replication_factor);
    match ensured {
        Ok(Ensured::Created) => vec![Finding::fine(subject(), format!("created, {}", shape()))],
        Ok(Ensured::Found(flaws)) if flaws.is_empty() => vec![Finding::fine(subject(), "keeps everything")],
        Ok(Ensured::Found(flaws)) => {
            let judge = |grave| if grave { Finding::problem } else { Finding::warning };
            flaws
                .iter()
                .map(|flaw| judge(flaw.grave)(subject(), flaw.found.clone(), flaw.advice.clone()))
                .collect()
        }
        Ok(Ensured::Missing) => {
            let advice = format!("worker check --create, or: {}", plan.command());
            vec![Finding::problem(subject(), "does not exist", advice)]
        }
        Err(fault) => {
            vec![unseen(
                subject(),
                fault,
                "grant Describe, Write and (with --create) Create on it to this user",
            )]
        }
    }
}

pub(super) fn group(name: &str, fault: &KafkaFault) -> Finding {
    unseen(format!("group {name}"), fault, "grant Read on it to this user")
}

/// The topic by which dead letters come back. Whoever sends the first of them makes it, and workers do without it.
pub(super) fn redriven(plan: &TopicPlan, seen: &Result<Option<TopicInfo>, KafkaFault>) -> Vec<Finding> {
    let mut findings = match seen {
        Ok(None) => Vec::new(),
        Ok(Some(found)) => ours(plan, &Ok(Ensured::Found(plan.flaws(found)))),
        Err(fault) => {
            let advice = "grant Describe and Read on it to this user: until then no dead letter that is sent back is consumed";
            vec![unseen(format!("topic {}", plan.name), fault, advice)]
        }
    };
    for finding in findings.iter_mut().filter(|finding| finding.state == State::Problem) {
        finding.state = State::Warning;
    }
    findings
}

/// The topic of what operators do. Workers do without it; who acts makes it.
pub(super) fn audit(plan: &TopicPlan, ensured: &Result<Ensured, KafkaFault>) -> Vec<Finding> {
    let mut findings = ours(plan, ensured);
    if matches!(ensured, Ok(Ensured::Missing)) {
        findings.iter_mut().for_each(|finding| {
            finding.state = State::Warning;
            finding.found = "does not exist; without it no operator's act is allowed".to_owned();
        });
    }
    findings
}

/// The topic by which operators speak to all pods. One that is not there has never said anything.
pub(super) fn control(plan: &TopicPlan, ensured: &Result<Ensured, KafkaFault>) -> Vec<Finding> {
    let mut findings = ours(plan, ensured);
    for finding in &mut findings {
        match ensured {
            Ok(Ensured::Missing) => {
                finding.state = State::Warning;
                finding.found = "does not exist; without it nothing can be paused".to_owned();
            }
            Ok(Ensured::Found(flaws)) if flaws.is_empty() => {
                finding.found = "keeps the last word under each key".to_owned();
            }
            Err(_) => {
                finding.advice =
                    finding.advice.take().map(|advice| format!("{advice}, or set topics.control = \"off\""))
            }
            _ => {}
        }
    }
    findings
}

/// Since when a handler's ledger has everything.
pub(crate) fn ledger(report: &Report) -> Finding {
    let subject = format!("ledger of {}", report.handler);
    let since = report.since.as_ref().map(Since::since_ms);
    match (&report.loss, since) {
        (Some(loss), _) => {
            let advice =
                "replays refuse what neither it nor the store knows; it begins anew with the next start";
            Finding::warning(subject, loss.as_str(), advice)
        }
        (None, None) => Finding::fine(subject, "begins with the first start"),
        (None, Some(0)) => Finding::fine(subject, "has everything from the start"),
        (None, Some(since)) => {
            let time = jiff::Timestamp::from_millisecond(since)
                .map_or_else(|_| since.to_string(), |at| at.to_string());
            Finding::fine(subject, format!("has everything since {time}"))
        }
    }
}

/// A topic that could not be looked at or made; `grant` is what to do where we may not.
fn unseen(subject: String, fault: &KafkaFault, grant: &str) -> Finding {
    let found = fault.message.strip_prefix(&format!("{subject}: ")).unwrap_or(&fault.message);
    let advice = match fault.kind {
        FaultKind::Refused => grant,
        FaultKind::Unreachable => "try again once the brokers answer",
        _ => "correct what it says",
    };
    Finding::problem(subject, found, advice)
}

/// Whether a handler's memory outlives everything that can deliver an event again.
pub(super) fn memory<'a>(
    horizon: &Horizon,
    sources: impl Iterator<Item = &'a TopicInfo>,
    offsets_kept: Option<Duration>,
) -> Vec<Finding> {
    let Horizon { handler, ttl, lease, retry_budget } = horizon;
    let subject = || format!("memory of {handler}");
    let under_way = retry_budget.saturating_add(*lease);
    let sum = |start: &str, total| {
        format!("{start}retries {} + lease {} = {}", span(*retry_budget), span(*lease), span(total))
    };
    if *ttl < under_way {
        let found = format!("{}, but an event may be under way for {}", span(*ttl), sum("", under_way));
        return vec![Finding::problem(subject(), found, "raise [dedupe] ttl, or lower [retry] budget")];
    }
    let outlived = |what: &str, kept: Duration| {
        let total = kept.saturating_add(under_way);
        (*ttl < total).then(|| sum(&format!("{what} {} + ", span(kept)), total))
    };
    let (mut reasons, mut unknown) = (Vec::new(), offsets_kept.is_none());
    for source in sources {
        let what = format!("topic {} keeps records for", source.name);
        match source.config.as_ref().map(TopicConfig::kept) {
            Some(Kept::For(kept)) => reasons.extend(outlived(&what, kept)),
            Some(Kept::Forever) => reasons.push(format!("{what} ever")),
            None => unknown = true,
        }
    }
    reasons.extend(
        offsets_kept.and_then(|kept| outlived("the brokers keep a stopped group's position for", kept)),
    );
    if reasons.is_empty() {
        let than = if unknown { sum("", under_way) } else { "an event can come again".to_owned() };
        let but = if unknown { "; how long Kafka keeps records or positions is not known" } else { "" };
        return vec![Finding::fine(subject(), format!("{}, longer than {than}{but}", span(*ttl)))];
    }
    let warn = |reason| {
        let found = format!("{}, but {reason}", span(*ttl));
        Finding::warning(subject(), found, "raise [dedupe] ttl: what is forgotten and comes again runs again")
    };
    reasons.into_iter().map(warn).collect()
}

/// Judges the dedupe store by its own report; an error is why it gave none.
#[must_use]
pub fn store(report: &Result<StoreReport, StoreFault>) -> Vec<Finding> {
    match report {
        Ok(report) => {
            [version(report), eviction(report), role(report), fill(report)].into_iter().flatten().collect()
        }
        Err(fault) => {
            let advice = match fault.kind {
                store::FaultKind::Refused => "check user, password and permissions in [redis] url",
                store::FaultKind::Unavailable => "check [redis] url, and whether this machine reaches it",
            };
            vec![Finding::problem("store", &fault.message, advice)]
        }
    }
}

/// Whether all replicas are waited for, where any are.
#[must_use]
pub fn replicas(report: &StoreReport, waited_for: u32) -> Option<Finding> {
    let wanted = u64::from(waited_for);
    let (fewest, most) = (*report.replicas.iter().min()?, *report.replicas.iter().max()?);
    let subject = "store replicas";
    let found = |count| format!("redis.wait_replicas = {waited_for}, and a master has {count}");
    if waited_for == 0 {
        None
    } else if fewest < wanted {
        let advice = "connect the replicas, or lower redis.wait_replicas: until then nothing can end";
        Some(Finding::problem(subject, found(fewest), advice))
    } else if most > wanted {
        let found = format!("{}: a failover may promote one that has not answered", found(most));
        Some(Finding::warning(subject, found, "set redis.wait_replicas to the number of all replicas"))
    } else {
        Some(Finding::fine(subject, format!("{most}, and all are waited for")))
    }
}

fn version(report: &StoreReport) -> Option<Finding> {
    let unknown = |found: &str| Finding::warning("store", found, "make sure that it is Redis 7.0 or newer");
    let Some(version) = &report.version else { return Some(unknown("it does not tell its version")) };
    let mut numbers = version.split('.').map(str::parse::<u32>);
    Some(match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST_REDIS => {
            Finding::fine("store", format!("Redis {version}"))
        }
        (Some(Ok(_)), Some(Ok(_))) => {
            Finding::problem("store", format!("Redis {version} has no functions"), "use Redis 7.0 or newer")
        }
        _ => unknown(&format!("version {version}")),
    })
}

fn eviction(report: &StoreReport) -> Option<Finding> {
    let subject = "store maxmemory-policy";
    Some(match report.maxmemory_policy.as_deref() {
        Some("noeviction") => Finding::fine(subject, "noeviction"),
        Some(policy) => Finding::problem(
            subject,
            format!("{policy}: when memory is full, events are forgotten and run again"),
            "CONFIG SET maxmemory-policy noeviction, and in redis.conf; every other policy forgets keys with a time to live",
        ),
        None => Finding::warning(subject, "cannot be read", "make sure that it is noeviction"),
    })
}

fn role(report: &StoreReport) -> Option<Finding> {
    match report.role.as_deref() {
        Some("master") => None,
        Some(role) => Some(Finding::problem(
            "store role",
            format!("{role}: it takes no writes"),
            "point [redis] url at the master",
        )),
        None => Some(Finding::warning("store role", "cannot be read", "make sure that it is the master")),
    }
}

fn fill(report: &StoreReport) -> Option<Finding> {
    let (used, limit) = (report.used_memory?, report.maxmemory?);
    // No limit of its own: then the machine's counts, which it cannot tell.
    let percent = used.saturating_mul(100).checked_div(limit)?;
    let found = format!("{percent} % of {limit} bytes");
    Some(if percent < MEMORY_WARNING {
        Finding::fine("store memory", found)
    } else {
        Finding::warning(
            "store memory",
            found,
            "raise maxmemory: once it is full, claims are refused and work stops",
        )
    })
}

fn shape(partitions: i32, copies: Option<i32>) -> String {
    let plural =
        |count: i32, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let copies = copies
        .map_or("as many copies as the brokers say".to_owned(), |copies| plural(copies, "copy", "copies"));
    format!("{}, {copies}", plural(partitions, "partition", "partitions"))
}

fn span(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
