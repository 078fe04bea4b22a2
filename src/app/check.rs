//! `check`: what is looked at, how it stands, and how to mend it.

use std::{process::ExitCode, str::FromStr};

use super::{
    FAILED, FINE, args, failed,
    inspect::{PATIENCE, creation, inspect},
    refuse,
    run::connect,
};
use crate::{
    Service,
    check::{self, Accept},
    config::Settings,
    kafka::KafkaClient,
    pipeline::sent_on::is_of_copies,
    store::DedupeStore,
    worker::group_of,
};

pub(super) async fn run(settings: &Settings, services: &[Service], args: &args::Check) -> ExitCode {
    let store = match connect(settings) {
        Ok(store) => store,
        Err(fault) => return refuse(fault),
    };
    if !args.accept.is_empty() {
        return accept(settings, services, &*store, &args.accept).await;
    }
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let mut findings = inspect(settings, services, &kafka, &*store, args.create).await;
    let creation = creation(settings, args.create);
    findings.extend(check::audit(&kafka, PATIENCE, &settings.topics.audit, creation).await);
    print!("{}", check::render(&findings, check::terminal_width()));
    settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
    ExitCode::from(if check::failed(&findings) { FAILED } else { FINE })
}

/// Leaves decisions in the store, where the paused workers find them.
async fn accept(
    settings: &Settings,
    services: &[Service],
    store: &dyn DedupeStore,
    texts: &[String],
) -> ExitCode {
    let (accepted, wrong): (Vec<_>, Vec<_>) =
        texts.iter().map(|text| Accept::from_str(text)).partition(Result::is_ok);
    let mut problems: Vec<String> =
        wrong.into_iter().filter_map(Result::err).map(|error| error.to_string()).collect();
    let mut decisions = Vec::new();
    for accept in accepted.into_iter().flatten() {
        let consumes = |service: &&Service| {
            let group = group_of(service, &settings.service(service.name()));
            service.table().topics().any(|topic| {
                let source = settings.topics.physical(topic);
                source == accept.topic || is_of_copies(&accept.topic, source, &group)
            })
        };
        let consumers: Vec<&Service> = services.iter().filter(consumes).collect();
        match consumers[..] {
            [service] => decisions.push((group_of(service, &settings.service(service.name())), accept)),
            [] => problems.push(format!("--accept {}: no service consumes that topic", accept.topic)),
            _ => {
                let names = consumers.iter().map(|service| service.name()).collect::<Vec<_>>().join(", ");
                problems.push(format!(
                    "--accept {}: say for which service with --service; it is consumed by {names}",
                    accept.topic
                ));
            }
        }
    }
    if !problems.is_empty() {
        return refuse(problems.join("\n"));
    }
    for (group, Accept { topic, partition, position }) in decisions {
        if let Err(fault) = store.accept(&group, &topic, partition, position).await {
            return failed(fault);
        }
        println!(
            "{group} goes on at {position} of partition {partition} of {topic}, once that partition waits for a decision"
        );
    }
    ExitCode::from(FINE)
}
