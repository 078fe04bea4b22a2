//! `status`: all pods of the services, what is paused, and how far the groups are by the brokers' word.

use std::{process::ExitCode, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{
    FAILED, FINE, args,
    shown::{paused, table},
};
use crate::{
    Service,
    config::Settings,
    fleet::{Followed, Follower, GroupLag, PartitionLag, PodStatus, Source, Status},
    kafka::KafkaClient,
    worker::group_of,
};

/// How long the control topic may take.
const PATIENCE: Duration = Duration::from_secs(15);

pub(in crate::app) async fn status(
    settings: &Settings,
    services: &[Service],
    args: &args::Status,
) -> ExitCode {
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let followed = follow(settings, services, &kafka).await;
    let lags = GroupLag::of_all(settings, services, &kafka).await;
    let shown = Status::of(settings, services, followed.as_ref(), lags);
    if args.json {
        println!("{}", serde_json::json!(shown));
    } else {
        println!("{}", text(&shown));
    }
    // Where there is no topic nothing is paused; where it cannot be read nobody knows.
    let is_known = settings.topics.control.is_none() || followed.is_some_and(|followed| followed.is_known());
    let is_known = is_known && shown.services.iter().all(|service| service.lag.lag_unknown.is_empty());
    ExitCode::from(if is_known { FINE } else { FAILED })
}

/// What the control topic says by now, where there is to be one.
async fn follow(settings: &Settings, services: &[Service], kafka: &KafkaClient) -> Option<Followed> {
    let (topic, first) = (settings.topics.control.clone()?, services.first()?);
    let group = group_of(first, &settings.service(first.name()));
    let source = Source { kafka: kafka.clone(), group, topic };
    let follower = Arc::new(Follower::start(source, &Handle::current(), |_| {}));
    let known = follower.until(|followed| followed.is_known().then(|| followed.clone()));
    let known = tokio::time::timeout(PATIENCE, known).await;
    Some(known.unwrap_or_else(|_| follower.followed().clone()))
}

fn text(shown: &Status) -> String {
    let mut text = shown.unknown.as_ref().map(|reason| format!("{reason}\n\n")).unwrap_or_default();
    for service in &shown.services {
        let (name, group) = (&service.service, &service.group);
        let GroupLag { lag, later, lag_unknown, partitions } = &service.lag;
        let waiting = if *lag == 1 { "1 record waits".to_owned() } else { format!("{lag} records wait") };
        text.push_str(&format!("{name} (group {group}): "));
        let places = if partitions.len() == 1 { "partition" } else { "partitions" };
        let waiting = format!("{waiting} in {} {places}", partitions.len());
        match (&partitions[..], &lag_unknown[..]) {
            ([], [_, ..]) => text.push_str("how many records wait is not known"),
            (_, []) => text.push_str(&waiting),
            (_, _) => text.push_str(&format!("{waiting}, as far as is known")),
        }
        let is_new = |partition: &&PartitionLag| partition.lag.is_none() && partition.unknown.is_none();
        let new = partitions.iter().filter(is_new).count();
        if new > 0 {
            text.push_str(&format!(", {new} of them never committed"));
        }
        if *later > 0 {
            text.push_str(&format!("; {later} more to be tried later"));
        }
        text.push('\n');
        text.extend(lag_unknown.iter().map(|why| format!("  not known: {why}\n")));
        if !service.paused.is_empty() {
            text.push_str(&format!("{}\n", paused(&service.paused)));
        }
        text.push_str(&format!("{}\n\n", pods(&service.pods)));
    }
    text.trim_end().to_owned()
}

fn pods(pods: &[PodStatus]) -> String {
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
            pod.oldest_seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.0} s")),
            how,
        ]);
    }
    table.to_string()
}
