//! `status`: all pods of the services, what is paused, and how far the groups are by the brokers' word.

use std::{collections::BTreeMap, process::ExitCode, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::runtime::Handle;

use super::{
    FAILED, FINE, args, failed,
    shown::{paused, table},
};
use crate::{
    Service,
    config::Settings,
    fleet::{Followed, Follower, Heard, PartitionLag, Paused, Source, Standing, lag_of},
    kafka::KafkaClient,
    pipeline::sent_on::redrive_topic,
    worker::group_of,
};

/// How long the control topic may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Everything that is shown.
#[derive(Debug, Serialize)]
struct Shown {
    /// Why nothing is known of pods and pauses, if so.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<String>,
    services: Vec<ShownService>,
}

#[derive(Debug, Serialize)]
struct ShownService {
    service: String,
    group: String,
    paused: Vec<Paused>,
    /// Of all partitions that have a committed offset.
    lag: i64,
    partitions: Vec<PartitionLag>,
    pods: Vec<ShownPod>,
}

#[derive(Debug, Serialize)]
struct ShownPod {
    pod: String,
    host: String,
    version: String,
    since: jiff::Timestamp,
    /// `there` or `silent`.
    presence: &'static str,
    heard_seconds: i64,
    /// What it holds; differs from the service's only while it has not heard.
    paused: Vec<String>,
    in_flight: u64,
    oldest_seconds: f64,
    partitions: BTreeMap<String, Vec<i32>>,
    /// Those that are not closed.
    breakers: BTreeMap<String, String>,
    trouble: Vec<String>,
}

pub(in crate::app) async fn status(
    settings: &Settings,
    services: &[Service],
    args: &args::Status,
) -> ExitCode {
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let followed = follow(settings, services, &kafka).await;
    let mut shown = Shown { unknown: followed.as_ref().err().cloned(), services: Vec::new() };
    for service in services {
        let group = group_of(service, &settings.service(service.name()));
        let sources = service.table().topics().map(|topic| settings.topics.physical(topic).to_owned());
        let topics: Vec<String> = sources.flat_map(|topic| [redrive_topic(&topic, &group), topic]).collect();
        let asked = {
            let (kafka, group) = (kafka.clone(), group.clone());
            tokio::task::spawn_blocking(move || lag_of(&kafka, &group, &topics)).await
        };
        let partitions = match asked {
            Ok(Ok(partitions)) => partitions,
            Ok(Err(fault)) => {
                return failed(format!("how far {} is cannot be asked: {fault}", service.name()));
            }
            Err(error) => return failed(error),
        };
        shown.services.push(ShownService {
            service: service.name().to_owned(),
            paused: followed.as_ref().map(|followed| paused_of(followed, &group)).unwrap_or_default(),
            pods: followed.as_ref().map(|followed| pods_of(followed, &group)).unwrap_or_default(),
            group,
            lag: partitions.iter().filter_map(|partition| partition.lag).sum(),
            partitions,
        });
    }
    if args.json {
        println!("{}", serde_json::json!(shown));
    } else {
        println!("{}", text(&shown));
    }
    // Where there is no topic nothing is paused; where it cannot be read nobody knows.
    let is_known = followed.is_ok_and(|followed| followed.is_known()) || settings.topics.control.is_none();
    ExitCode::from(if is_known || is_missing(&shown) { FINE } else { FAILED })
}

const MISSING: &str =
    "does not exist, so nothing is paused and no pod says how it is; worker check --create makes it";

fn is_missing(shown: &Shown) -> bool {
    shown.unknown.as_ref().is_some_and(|reason| reason.ends_with(MISSING))
}

/// What the control topic says; otherwise why that is not known.
async fn follow(settings: &Settings, services: &[Service], kafka: &KafkaClient) -> Result<Followed, String> {
    let Some(topic) = settings.topics.control.clone() else {
        return Err("topics.control is \"off\", so no pod says how it is".to_owned());
    };
    let Some(first) = services.first() else { return Err("there are no services".to_owned()) };
    let group = group_of(first, &settings.service(first.name()));
    let source = Source { kafka: kafka.clone(), group, topic: topic.clone() };
    let follower = Arc::new(Follower::start(source, &Handle::current(), |_| {}));
    let known = follower.until(|followed| followed.is_known().then(|| followed.clone()));
    match tokio::time::timeout(PATIENCE, known).await {
        Ok(Followed { standing: Standing::Missing, .. }) => {
            Err(format!("the control topic {topic} {MISSING}"))
        }
        Ok(followed) => Ok(followed),
        Err(_) => {
            let trouble = follower.followed().trouble.clone();
            let why = trouble.unwrap_or_else(|| "no answer in time".to_owned());
            Err(format!("the control topic {topic} cannot be read: {why}"))
        }
    }
}

fn paused_of(followed: &Followed, group: &str) -> Vec<Paused> {
    let paused = followed.view.paused(group);
    paused.map(|(scope, pause)| Paused { scope: scope.clone(), pause: pause.clone() }).collect()
}

fn pods_of(followed: &Followed, group: &str) -> Vec<ShownPod> {
    let now_ms = followed.now_ms();
    let shown = |(pod, heard): (&str, &Heard)| {
        let of_it = heard.of(group).cloned().unwrap_or_default();
        ShownPod {
            pod: pod.to_owned(),
            host: heard.report.host.clone(),
            version: heard.report.version.clone(),
            since: heard.report.started_at,
            presence: heard.presence(now_ms).word(),
            heard_seconds: (now_ms - heard.at_ms).max(0) / 1000,
            paused: of_it.paused,
            in_flight: of_it.in_flight,
            oldest_seconds: of_it.oldest_seconds,
            partitions: of_it.partitions,
            breakers: of_it.breakers,
            trouble: of_it.trouble,
        }
    };
    followed.view.pods(group, now_ms).map(shown).collect()
}

fn text(shown: &Shown) -> String {
    let mut text = shown.unknown.as_ref().map(|reason| format!("{reason}\n\n")).unwrap_or_default();
    for service in &shown.services {
        let ShownService { service: name, group, lag, partitions, .. } = service;
        let waiting = if *lag == 1 { "1 record waits".to_owned() } else { format!("{lag} records wait") };
        text.push_str(&format!("{name} (group {group}): {waiting} in {} partitions", partitions.len()));
        let new = partitions.iter().filter(|partition| partition.lag.is_none()).count();
        if new > 0 {
            text.push_str(&format!(", {new} of them never committed"));
        }
        text.push('\n');
        if !service.paused.is_empty() {
            text.push_str(&format!("{}\n", paused(&service.paused)));
        }
        text.push_str(&format!("{}\n\n", pods(&service.pods)));
    }
    text.trim_end().to_owned()
}

fn pods(pods: &[ShownPod]) -> String {
    if pods.is_empty() {
        return "  no pod of it has been heard of lately".to_owned();
    }
    let mut table = table(["pod", "since", "version", "partitions", "in flight", "oldest", "how"]);
    for pod in pods {
        let partitions: usize = pod.partitions.values().map(Vec::len).sum();
        let how = match (pod.presence, &pod.trouble[..]) {
            ("silent", _) => format!("SILENT for {} s", pod.heard_seconds),
            (_, []) if !pod.breakers.is_empty() => {
                let breaker = |(handler, state): (&String, &String)| format!("breaker of {handler} {state}");
                pod.breakers.iter().map(breaker).collect::<Vec<_>>().join("; ")
            }
            (_, []) if pod.paused.is_empty() => "works".to_owned(),
            (_, []) => "paused".to_owned(),
            (_, trouble) => trouble.join("; "),
        };
        table.add_row([
            pod.pod.clone(),
            format!("{:.0}", pod.since),
            pod.version.clone(),
            partitions.to_string(),
            pod.in_flight.to_string(),
            format!("{:.0} s", pod.oldest_seconds),
            how,
        ]);
    }
    table.to_string()
}
