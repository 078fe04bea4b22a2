//! The services of a binary: made, checked, and chosen from.

use std::collections::BTreeMap;

use tokio::runtime::Handle;

use super::Build;
use crate::{BoxError, Service, config::Settings, service, worker::group_of};

/// Makes the services where their handlers will run: what they connect to belongs there.
pub(super) async fn built<C>(
    build: &Build<C>,
    config: C,
    handlers: &Handle,
) -> Result<Vec<Service>, BoxError> {
    let services = {
        let _entered = handlers.enter();
        build(config)
    };
    handlers.spawn(services).await?
}

/// All services, or those named; or all that is wrong with any of them.
pub(super) fn chosen(
    services: Vec<Service>,
    settings: &Settings,
    wanted: &[String],
) -> Result<Vec<Service>, Vec<String>> {
    let mut problems: Vec<String> = Vec::new();
    if let Err(found) = service::check(&services) {
        problems.extend(found.iter().map(ToString::to_string));
    }
    let known: Vec<(&str, Vec<&str>)> =
        services.iter().map(|service| (service.name(), service.table().handlers().collect())).collect();
    let borrowed: Vec<(&str, &[&str])> =
        known.iter().map(|(service, handlers)| (*service, handlers.as_slice())).collect();
    problems.extend(settings.unknown_services(&borrowed).iter().map(ToString::to_string));
    problems.extend(shared_groups(settings, &services));
    problems.extend(shared_topics(settings, &services));
    let handlers = services
        .iter()
        .flat_map(|service| service.table().iter().map(move |(_, handler)| (service, handler)));
    let forgetful = handlers.flat_map(|(service, handler)| {
        let (retries, ttl) = (handler.retry_policy(), handler.ttl());
        let forgets = settings.forgets_too_early(service.name(), handler.name(), retries, ttl);
        let puts_off = settings.puts_off_too_long(service.name(), handler.name(), retries);
        let tries = settings.tries_too_long(service.name(), handler.name(), retries);
        forgets.into_iter().chain(puts_off).chain(tries)
    });
    problems.extend(forgetful.map(|problem| problem.to_string()));
    let names = known.iter().map(|(service, _)| *service).collect::<Vec<_>>().join(", ");
    for name in wanted.iter().filter(|name| known.iter().all(|(service, _)| service != name)) {
        problems.push(format!("--service {name}: there is no such service; there are {names}"));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let is_wanted = |service: &Service| wanted.is_empty() || wanted.iter().any(|name| name == service.name());
    Ok(services.into_iter().filter(is_wanted).collect())
}

/// Two services in one group would share the partitions out between them: each would miss half of the events.
fn shared_groups(settings: &Settings, services: &[Service]) -> Vec<String> {
    let mut owners: BTreeMap<String, &str> = BTreeMap::new();
    let shared = services.iter().filter_map(|service| {
        let group = group_of(service, &settings.service(service.name()));
        let first = owners.insert(group.clone(), service.name())?;
        Some(format!(
            "services `{first}` and `{}` have the same consumer group `{group}`; each needs its own",
            service.name()
        ))
    });
    shared.collect()
}

/// Two topics of one service under one name in Kafka: whose handler should take its records?
fn shared_topics(settings: &Settings, services: &[Service]) -> Vec<String> {
    let mut problems = Vec::new();
    for service in services {
        let mut logical: BTreeMap<&str, &str> = BTreeMap::new();
        for topic in service.table().topics() {
            let physical = settings.topics.physical(topic);
            if let Some(first) = logical.insert(physical, topic) {
                problems.push(format!(
                    "service `{}` consumes `{first}` and `{topic}`, and [topics.names] calls both `{physical}`; they must differ",
                    service.name()
                ));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;

    struct Note<const TOPIC: u8>;

    macro_rules! note {
        ($topic:literal, $name:literal) => {
            impl Handler for Note<$topic> {
                const NAME: &'static str = $name;
                type Event = String;

                fn dedupe_key(&self, event: &String, _: &Metadata) -> DedupeKey {
                    DedupeKey::of(event)
                }

                async fn handle(&self, _: &String, _: &Context) -> Outcome {
                    done()
                }
            }
        };
    }
    note!(1, "one");
    note!(2, "two");

    #[test]
    fn two_topics_of_a_service_under_one_name_are_refused() {
        let routes = || Routes::new().on("a", Note::<1>).on("b", Note::<2>);
        let services = [Service::new("shop").routes(routes())];
        let mut settings = Settings::default();
        assert_eq!(shared_topics(&settings, &services), [""; 0]);
        settings.topics.names.insert("a".to_owned(), "b".to_owned());
        assert_eq!(
            shared_topics(&settings, &services),
            ["service `shop` consumes `a` and `b`, and [topics.names] calls both `b`; they must differ"]
        );
        // Two services may well read the same topic.
        let apart = [
            Service::new("first").routes(Routes::new().on("a", Note::<1>)),
            Service::new("second").routes(Routes::new().on("b", Note::<2>)),
        ];
        assert_eq!(shared_topics(&settings, &apart), [""; 0]);
    }
}
