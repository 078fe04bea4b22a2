//! What is to be paused or to go on, from the names that somebody gives. The command line and the API take the same.

use super::scope::Scope;
use crate::{Service, config::Settings, worker::group_of};

/// What somebody wants, by its names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish<'a> {
    pub(crate) service: &'a str,
    /// As the service calls it, or as Kafka does.
    pub(crate) topic: Option<&'a str>,
    pub(crate) handler: Option<&'a str>,
    /// Everything of it that is paused; only to let it go on.
    pub(crate) all: bool,
}

/// What is to be paused, or to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) service: String,
    pub(crate) scope: Scope,
    /// Whatever is paused of the service is meant, and not that scope alone.
    pub(crate) all: bool,
}

impl Order {
    /// All that is wrong with the names comes at once.
    pub(crate) fn of(settings: &Settings, services: &[Service], wish: Wish<'_>) -> Result<Self, Vec<String>> {
        let Wish { service: name, topic, handler, all } = wish;
        let Some(service) = services.iter().find(|service| service.name() == name) else {
            let names = services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
            return Err(vec![format!("--service {name}: there is no such service; there are {names}")]);
        };
        let mut problems = Vec::new();
        let physical = topic.and_then(|wanted| {
            let known: Vec<&str> = service.table().topics().collect();
            let is_it = |topic: &&&str| **topic == wanted || settings.topics.physical(topic) == wanted;
            let found = known.iter().find(is_it).map(|topic| settings.topics.physical(topic).to_owned());
            if found.is_none() {
                let known = known.join(", ");
                problems
                    .push(format!("--topic {wanted}: {name} consumes no such topic; it consumes {known}"));
            }
            found
        });
        if let Some(wanted) = handler
            && !service.table().handlers().any(|known| known == wanted)
        {
            let known = service.table().handlers().collect::<Vec<_>>().join(", ");
            problems
                .push(format!("--handler {wanted}: there is no such handler of {name}; there are {known}"));
        }
        if topic.is_some() && handler.is_some() {
            problems.push("--topic and --handler: a pause is about one of the two".to_owned());
        }
        if all && (topic.is_some() || handler.is_some()) {
            problems.push("--all is everything of a service; leave out --topic and --handler".to_owned());
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let group = group_of(service, &settings.service(name));
        Ok(Self {
            service: name.to_owned(),
            scope: Scope { group, topic: physical, handler: handler.map(str::to_owned) },
            all,
        })
    }
}
