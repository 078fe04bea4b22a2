//! `[services.NAME]`: what one service, or one handler of it, does differently from all others.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dedupe::{max_deliveries, ttl};
use super::worker::{first_delay, rate_limit};
use super::{
    BreakerSettings, DedupeSettings, LedgerSettings, RetryOverrides, Settings, WorkerSettings, rules,
};
use crate::RetryPolicy;
use crate::config::units::show_duration;
use crate::config::{Origin, Problem, Reader};

/// What counts for a service: its own section over the general ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceSettings {
    /// The consumer group, where the configuration names one.
    pub group: Option<String>,
    /// How its records are worked on.
    pub worker: WorkerSettings,
    /// How its events are remembered.
    pub dedupe: DedupeSettings,
    /// What is said about its retries.
    pub retry: RetryOverrides,
    /// When its handlers are left alone.
    pub breaker: BreakerSettings,
    /// Whether what takes effect is written down in Kafka.
    pub ledger: LedgerSettings,
}

/// What counts for a handler: its own section over its service's over the general ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerSettings {
    /// How long a settled event is remembered, where the configuration says so.
    pub ttl: Option<Duration>,
    /// How long a claim outlives a worker that stopped renewing it.
    pub lease: Duration,
    /// After how many take-overs an event that kills the process is given up.
    pub max_deliveries: u32,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// What is said about its retries.
    pub retry: RetryOverrides,
    /// When it is left alone.
    pub breaker: BreakerSettings,
    /// How many attempts may begin in a second, where the configuration says so; 0 for any number.
    pub rate_limit: Option<u32>,
    /// How old a record is at its first attempt, where the configuration says so; zero for any age.
    pub first_delay: Option<Duration>,
}

impl HandlerSettings {
    /// How long a settled event is remembered: as configured, else as the handler says, else
    /// [`DedupeSettings::DEFAULT_TTL`].
    #[must_use]
    pub fn ttl_over(&self, own: Option<Duration>) -> Duration {
        self.ttl.or(own).unwrap_or(DedupeSettings::DEFAULT_TTL)
    }

    /// How many attempts may begin in a second: as configured, else as the handler says.
    #[must_use]
    pub fn rate_limit_over(&self, own: Option<u32>) -> Option<u32> {
        self.rate_limit.or(own).filter(|rate| *rate > 0)
    }

    /// How old a record is at its first attempt: as configured, else as the handler says.
    #[must_use]
    pub fn first_delay_over(&self, own: Option<Duration>) -> Duration {
        self.first_delay.or(own).unwrap_or_default()
    }

    fn of(service: &ServiceSettings) -> Self {
        Self {
            ttl: service.dedupe.ttl,
            lease: service.dedupe.lease,
            max_deliveries: service.dedupe.max_deliveries,
            timeout: service.worker.handler_timeout,
            retry: service.retry,
            breaker: service.breaker,
            rate_limit: service.worker.rate_limit,
            first_delay: service.worker.first_delay,
        }
    }

    fn read(reader: &mut Reader, section: &str, base: Self) -> Self {
        let (dedupe, worker) = (format!("{section}.dedupe"), format!("{section}.worker"));
        Self {
            ttl: ttl(reader, &dedupe, base.ttl),
            lease: reader.duration(&format!("{dedupe}.lease"), base.lease),
            max_deliveries: max_deliveries(reader, &dedupe, base.max_deliveries),
            timeout: reader.duration(&format!("{worker}.handler_timeout"), base.timeout),
            retry: RetryOverrides::read(reader, &format!("{section}.retry"), &base.retry),
            breaker: BreakerSettings::read(reader, &format!("{section}.breaker"), &base.breaker),
            rate_limit: rate_limit(reader, &worker).or(base.rate_limit),
            first_delay: first_delay(reader, &worker).or(base.first_delay),
        }
    }
}

/// A `[services.NAME]` as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    settings: ServiceSettings,
    handlers: BTreeMap<String, (HandlerSettings, Origin)>,
    origin: Origin,
}

impl Settings {
    /// What counts for a service, whether or not it has a section of its own.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceSettings {
        self.services.get(name).map_or_else(|| self.general(), |service| service.settings.clone())
    }

    /// What counts for a handler of a service, whether or not they have sections of their own.
    #[must_use]
    pub fn handler(&self, service: &str, handler: &str) -> HandlerSettings {
        self.services
            .get(service)
            .and_then(|service| service.handlers.get(handler))
            .map_or_else(|| HandlerSettings::of(&self.service(service)), |(settings, _)| settings.clone())
    }

    /// Sections for services, or for handlers, that the program does not hold: `known` are all that it does.
    #[must_use]
    pub fn unknown_services(&self, known: &[(&str, &[&str])]) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut refuse = |key: String, origin: &Origin, message: String| {
            problems.push(Problem { key, value: None, origin: Some(origin.clone()), message });
        };
        for (name, service) in &self.services {
            let Some((_, handlers)) = known.iter().find(|(known, _)| known == name) else {
                let names: Vec<&str> = known.iter().map(|(known, _)| *known).collect();
                let message = format!("there is no such service; there are: {}", names.join(", "));
                refuse(format!("services.{name}"), &service.origin, message);
                continue;
            };
            for (handler, (_, origin)) in &service.handlers {
                if !handlers.contains(&handler.as_str()) {
                    let message = format!("there is no such handler; there are: {}", handlers.join(", "));
                    refuse(format!("services.{name}.handlers.{handler}"), origin, message);
                }
            }
        }
        problems
    }

    /// What is wrong when a handler, by its own policy and memory as far as the configuration leaves them, retries for
    /// longer than its events are remembered. Loading cannot know: it has not seen the handlers.
    #[must_use]
    pub fn forgets_too_early(
        &self,
        service: &str,
        handler: &str,
        own_policy: RetryPolicy,
        own_ttl: Option<Duration>,
    ) -> Option<Problem> {
        let settings = self.handler(service, handler);
        let ttl = settings.ttl_over(own_ttl);
        let budget = settings.retry.over(own_policy).budget;
        let needed = budget.saturating_add(settings.lease);
        (ttl < needed).then(|| Problem {
            key: format!("services.{service}.handlers.{handler}.dedupe.ttl"),
            value: Some(format!("{:?}", show_duration(ttl))),
            origin: None,
            message: format!(
                "must be at least the retry budget {} plus the lease {}, which is {}",
                show_duration(budget),
                show_duration(settings.lease),
                show_duration(needed)
            ),
        })
    }

    /// What is wrong when a handler would put events off for longer than it may try them: they would end as letters
    /// instead. As the budget ends before events are forgotten, so does whatever is put off.
    #[must_use]
    pub fn puts_off_too_long(
        &self,
        service: &str,
        handler: &str,
        own_policy: RetryPolicy,
    ) -> Option<Problem> {
        let policy = self.handler(service, handler).retry.over(own_policy);
        let longest = policy.later.longest().filter(|longest| *longest > policy.budget)?;
        Some(Problem {
            key: format!("services.{service}.handlers.{handler}.retry.later"),
            value: Some(format!("{:?}", show_duration(longest))),
            origin: None,
            message: format!(
                "allowed is at most the retry budget, which is {}",
                show_duration(policy.budget)
            ),
        })
    }

    /// What is wrong when a handler's events are to be tried for longer than their budget lets them.
    #[must_use]
    pub fn tries_too_long(&self, service: &str, handler: &str, own_policy: RetryPolicy) -> Option<Problem> {
        let policy = self.handler(service, handler).retry.over(own_policy);
        (policy.at_least > policy.budget).then(|| Problem {
            key: format!("services.{service}.handlers.{handler}.retry.at_least"),
            value: Some(format!("{:?}", show_duration(policy.at_least))),
            origin: None,
            message: format!(
                "allowed is at most the retry budget, which is {}",
                show_duration(policy.budget)
            ),
        })
    }

    fn general(&self) -> ServiceSettings {
        ServiceSettings {
            group: None,
            worker: self.worker.clone(),
            dedupe: self.dedupe.clone(),
            retry: self.retry,
            breaker: self.breaker,
            ledger: self.ledger.clone(),
        }
    }

    pub(super) fn read_services(&mut self, reader: &mut Reader) {
        for name in reader.tables("services") {
            let section = format!("services.{name}");
            check_name(reader, &section, &name);
            let service = self.read_service(reader, &section);
            self.services.insert(name, service);
        }
    }

    fn read_service(&self, reader: &mut Reader, section: &str) -> Service {
        let groups = "A-Z, a-z, 0-9, _ and -";
        let group = reader.optional_parsed(&format!("{section}.group"), groups, |text| {
            crate::service::is_group(text).then(|| text.to_owned())
        });
        let settings = ServiceSettings {
            group,
            worker: WorkerSettings::read(reader, &format!("{section}.worker"), &self.worker),
            dedupe: DedupeSettings::read(reader, &format!("{section}.dedupe"), &self.dedupe),
            retry: RetryOverrides::read(reader, &format!("{section}.retry"), &self.retry),
            breaker: BreakerSettings::read(reader, &format!("{section}.breaker"), &self.breaker),
            ledger: LedgerSettings::read(reader, &format!("{section}.ledger"), &self.ledger),
        };
        let is_own = settings.dedupe.prefix != self.dedupe.prefix;
        if is_own || !self.ledger.enabled {
            let section =
                if is_own { format!("{section}.dedupe.prefix") } else { "dedupe.prefix".to_owned() };
            settings.ledger.check(reader, &section, &settings.dedupe.prefix);
        }
        let scopes = [format!("{section}."), String::new()];
        rules::horizon(reader, &scopes, settings.dedupe.ttl, settings.dedupe.lease, settings.retry.budget);

        let mut handlers = BTreeMap::new();
        for name in reader.tables(&format!("{section}.handlers")) {
            let section = format!("{section}.handlers.{name}");
            check_name(reader, &section, &name);
            let handler = HandlerSettings::read(reader, &section, HandlerSettings::of(&settings));
            let [service, general] = scopes.clone();
            let scopes = [format!("{section}."), service, general];
            rules::horizon(reader, &scopes, handler.ttl, handler.lease, handler.retry.budget);
            handlers.insert(name, (handler, origin(reader, &section)));
        }
        Service { settings, handlers, origin: origin(reader, section) }
    }
}

fn check_name(reader: &mut Reader, section: &str, name: &str) {
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') || name.is_empty() {
        reader.problem(section, format!("the name {name:?} is not allowed; allowed are a-z, 0-9 and _"));
    }
}

/// Where a section was first written.
fn origin(reader: &Reader, section: &str) -> Origin {
    let prefix = format!("{section}.");
    reader
        .entries
        .range(prefix.clone()..)
        .find(|(key, _)| key.starts_with(&prefix))
        .map_or(Origin::Default, |(_, entry)| entry.origin.clone())
}
