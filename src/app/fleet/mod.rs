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
    fleet::{Acted, Fleet, Follower, NotDone, Order, Source, Wish},
    kafka::KafkaClient,
};

pub(super) async fn pause(
    settings: &Settings,
    services: &[Service],
    args: &Pause,
    topics: &[String],
) -> ExitCode {
    let wish = Wish { service: &args.service, handler: args.handler.as_deref(), ..Wish::default() };
    let order = match order(settings, services, wish, topics) {
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
    let wish =
        Wish { service: &args.service, handler: args.handler.as_deref(), all: args.all, ..Wish::default() };
    let order = match order(settings, services, wish, topics) {
        Ok(order) => order,
        Err(problems) => return refuse(problems.join("\n")),
    };
    let resumed = async |fleet: Fleet, audit: Audit| fleet.resume(&audit, &order, args.wait).await;
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
    wish: Wish<'_>,
    topics: &[String],
) -> Result<Order, Vec<String>> {
    if topics.len() > 1 {
        return Err(vec![format!("--topic {}: one at a time", topics.join(" --topic "))]);
    }
    Order::of(settings, services, Wish { topic: topics.first().map(String::as_str), ..wish })
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
    let follower = |kafka: &KafkaClient, topic: &str| {
        let (kafka, group) = (kafka.clone(), order.scope.group.clone());
        let source = Source { kafka, group, topic: topic.to_owned() };
        Some(Arc::new(Follower::start(source, &Handle::current(), |_| {})))
    };
    let fleet = Fleet::open(settings, follower).await?;
    let audit = Audit::open(settings).await.map_err(|error| NotDone::Trouble(error.to_string()))?;
    act(fleet, audit).await
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
            let is_done = acted.heeded.by_all && !acted.is_about_something_else();
            ExitCode::from(if is_done { FINE } else { FAILED })
        }
        Err(error) if json => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            ExitCode::from(FAILED)
        }
        Err(error) => failed(error),
    }
}
