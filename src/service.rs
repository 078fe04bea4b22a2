//! A name, a consumer group and routes.

use std::collections::BTreeSet;

use crate::{RouteError, Routes, routes::is_name};

/// A unit of deployment: a name, a consumer group and routes. One binary may hold several.
#[derive(Debug, Clone)]
pub struct Service {
    name: String,
    group: Option<String>,
    routes: Routes,
    publishes: BTreeSet<String>,
}

impl Service {
    /// A service without routes, whose consumer group has its own name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), group: None, routes: Routes::new(), publishes: BTreeSet::new() }
    }

    /// The consumer group, `[A-Za-z0-9_-]+`, unless the configuration names another.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.group = Some(group.into());
        self
    }

    /// Adds routes.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = self.routes.merge(routes);
        self
    }

    /// The logical name of a topic that its handlers publish to. The worker sees to it that the topic is there
    /// before it starts; what is published to any other topic is refused.
    #[must_use]
    pub fn publishes(mut self, topic: impl Into<String>) -> Self {
        self.publishes.insert(topic.into());
        self
    }

    /// The logical names of the topics that its handlers publish to.
    #[must_use]
    pub fn published_topics(&self) -> &BTreeSet<String> {
        &self.publishes
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The consumer group, as far as the code says.
    #[must_use]
    pub fn default_group(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.name)
    }

    /// What it consumes.
    #[must_use]
    pub fn table(&self) -> &Routes {
        &self.routes
    }
}

/// The service of this name, or the only one.
///
/// # Errors
/// The flag, and what is allowed.
pub(crate) fn chosen<'a>(services: &'a [Service], name: Option<&str>) -> Result<&'a Service, String> {
    let names = || services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
    match (name, services) {
        (Some(name), _) => services
            .iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| format!("--service {name}: there is no such service; there are {}", names())),
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("--service: say which one; there are {}", names())),
    }
}

/// Everything that is wrong with these services, all at once.
///
/// # Errors
/// One [`ServiceError`] per problem.
pub(crate) fn check(services: &[Service]) -> Result<(), Vec<ServiceError>> {
    let mut problems = Vec::new();
    if services.is_empty() {
        problems.push(ServiceError::None);
    }
    for (index, service) in services.iter().enumerate() {
        let name = || service.name.clone();
        if !is_name(&service.name) {
            problems.push(ServiceError::BadName(name()));
        }
        if !is_group(service.default_group()) {
            problems
                .push(ServiceError::BadGroup { service: name(), group: service.default_group().to_owned() });
        }
        if services[..index].iter().any(|other| other.name == service.name) {
            problems.push(ServiceError::Twice(name()));
        }
        let routes = service.routes.check().err().unwrap_or_default();
        problems.extend(routes.into_iter().map(|problem| ServiceError::Route { service: name(), problem }));
    }
    if problems.is_empty() { Ok(()) } else { Err(problems) }
}

/// Group names are parts of topic names, with `.` between the parts.
pub(crate) fn is_group(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A service that cannot run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// Nothing to run.
    #[error("there are no services; add one with `Service::new(name)`")]
    None,
    /// Two services share a name.
    #[error("service `{0}` is registered twice; names must differ")]
    Twice(String),
    /// The name does not fit where it is used.
    #[error("service name `{0}` is not allowed; allowed are a-z, 0-9 and _")]
    BadName(String),
    /// The group's name does not fit where it is used.
    #[error(
        "service `{service}`: consumer group `{group}` is not allowed; allowed are A-Z, a-z, 0-9, _ and -"
    )]
    BadGroup {
        /// The service.
        service: String,
        /// Its group.
        group: String,
    },
    /// Its routes cannot stand.
    #[error("service `{service}`: {problem}")]
    Route {
        /// The service.
        service: String,
        /// What is wrong.
        problem: RouteError,
    },
}
