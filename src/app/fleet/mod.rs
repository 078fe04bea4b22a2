//! `pause`, `resume` and `status`: all pods of a service at once.

mod args;
mod shown;
mod status;

use std::{future::Future, process::ExitCode, sync::Arc, time::Duration};

use tokio::runtime::Handle;

pub(super) use args::{Pause, Resume, Status};
pub(super) use status::status;

use super::{FAILED, FINE, failed, refuse};
use crate::{
    Service,
    audit::Audit,
    config::Settings,
    fleet::{Acted, Fleet, Follower, NotDone, Order, Source},
    kafka::{Ensured, KafkaClient, RecordProducer, TopicAdmin, TopicPlan},
};

/// How long the brokers may take for each answer.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn pause(
    settings: &Settings,
    services: &[Service],
    args: &Pause,
    topics: &[String],
) -> ExitCode {
    let order = match order(settings, services, &args.service, args.handler.as_deref(), topics) {
        Ok(order) => order,
        Err(problems) => return refuse(problems.join("\n")),
    };
    let paused = async |fleet: Fleet, audit: Audit| {
        fleet.pause(&audit, &order, args.reason.as_deref(), args.wait).await
    };
    let acted = acting(settings, &order, paused).await;
    told(acted, args.json, args.wait, "paused")
}

pub(super) async fn resume(
    settings: &Settings,
    services: &[Service],
    args: &Resume,
    topics: &[String],
) -> ExitCode {
    let order = match order(settings, services, &args.service, args.handler.as_deref(), topics) {
        Ok(_) if args.all && (!topics.is_empty() || args.handler.is_some()) => {
            return refuse("--all is everything of a service; leave out --topic and --handler");
        }
        Ok(order) => order,
        Err(problems) => return refuse(problems.join("\n")),
    };
    let resumed = async |fleet: Fleet, audit: Audit| fleet.resume(&audit, &order, args.all, args.wait).await;
    let acted = acting(settings, &order, resumed).await;
    if let Ok(acted) = &acted
        && acted.scopes.is_empty()
        && !args.json
    {
        return shown::nothing_to_resume(acted);
    }
    told(acted, args.json, args.wait, "resumed")
}

/// What is meant; one topic at the most.
fn order(
    settings: &Settings,
    services: &[Service],
    service: &str,
    handler: Option<&str>,
    topics: &[String],
) -> Result<Order, Vec<String>> {
    if topics.len() > 1 {
        return Err(vec![format!("--topic {}: one at a time", topics.join(" --topic "))]);
    }
    Order::of(settings, services, service, topics.first().map(String::as_str), handler)
}

/// Does something with the fleet of an order.
async fn acting<F>(
    settings: &Settings,
    order: &Order,
    act: impl FnOnce(Fleet, Audit) -> F,
) -> Result<Acted, NotDone>
where
    F: Future<Output = Result<Acted, NotDone>>,
{
    let fleet = open(settings, &order.scope.group).await?;
    let audit = Audit::open(settings).await.map_err(|error| NotDone(error.to_string()))?;
    act(fleet, audit).await
}

/// The fleet of a group, by a control topic that is there.
async fn open(settings: &Settings, group: &str) -> Result<Fleet, NotDone> {
    let undone = |reason: String| NotDone(format!("nothing was done: {reason}"));
    let Some(topic) = settings.topics.control.clone() else {
        return Err(undone("topics.control is \"off\", so that pods hear nothing".to_owned()));
    };
    let kafka = KafkaClient::from_settings(&settings.kafka);
    let plan = TopicPlan::control(&topic, settings.topics.replication_factor);
    let admin = TopicAdmin::new(&kafka, PATIENCE).map_err(|fault| undone(fault.to_string()))?;
    match admin.ensure(&plan, settings.topics.create).await {
        Ok(Ensured::Created | Ensured::Found(_)) => {}
        Ok(Ensured::Missing) => {
            let how = plan.command();
            return Err(undone(format!(
                "the control topic {topic} does not exist; worker check --create, or: {how}"
            )));
        }
        Err(fault) => return Err(undone(fault.to_string())),
    }
    let producer = RecordProducer::new(kafka.clone(), PATIENCE).map_err(|fault| undone(fault.to_string()))?;
    let source = Source { kafka, group: group.to_owned(), topic: topic.clone() };
    let follower = Arc::new(Follower::start(source, &Handle::current(), |_| {}));
    Ok(Fleet { follower, producer: Arc::new(producer), topic })
}

/// How it went; it failed where some pod has not answered.
fn told(acted: Result<Acted, NotDone>, json: bool, wait: Duration, done: &str) -> ExitCode {
    match acted {
        Ok(acted) => {
            if json {
                println!("{}", serde_json::json!(acted));
            } else {
                println!("{}", shown::acted(&acted, done, wait));
            }
            let is_done = !acted.scopes.is_empty() || acted.paused.is_empty();
            ExitCode::from(if acted.heeded.by_all && is_done { FINE } else { FAILED })
        }
        Err(error) if json => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            ExitCode::from(FAILED)
        }
        Err(error) => failed(error),
    }
}
