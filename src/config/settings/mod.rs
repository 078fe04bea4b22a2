//! The framework's own settings: typed, complete, checked.

mod admin;
mod breaker;
mod dedupe;
mod kafka;
mod outside;
mod plaintext;
mod retry;
mod rules;
mod services;
mod store;
mod telemetry;
mod worker;

use std::collections::BTreeMap;

pub use admin::AdminSettings;
pub use breaker::BreakerSettings;
pub use dedupe::{DedupeSettings, OnUnavailable};
pub use kafka::{KafkaSettings, Property};
pub(crate) use outside::is_topic;
pub use outside::{DeadLetterSettings, HttpSettings, LedgerSettings, TopicsSettings};
pub use retry::RetryOverrides;
pub use services::{HandlerSettings, ServiceSettings};
pub(crate) use store::host_and_port;
pub use store::{RedisMode, RedisSettings};
pub use telemetry::{LogFormat, TelemetrySettings, TraceRatio};
pub use worker::{InstanceId, Ordering, StartFrom, WorkerSettings};

use super::problem::Origin;
use super::reader::{Line, Reader};
use services::Service;

/// Everything the framework can be told. [`Default`] is what counts when nobody says anything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// How to reach Kafka.
    pub kafka: KafkaSettings,
    /// How to reach Redis.
    pub redis: RedisSettings,
    /// How events are remembered, unless a service says otherwise.
    pub dedupe: DedupeSettings,
    /// How records are worked on, unless a service says otherwise.
    pub worker: WorkerSettings,
    /// What is said about retries, unless a service says otherwise.
    pub retry: RetryOverrides,
    /// When a handler is left alone, unless a service says otherwise.
    pub breaker: BreakerSettings,
    /// How dead letters are written.
    pub dead_letter: DeadLetterSettings,
    /// Whether what took effect is also written down in Kafka.
    pub ledger: LedgerSettings,
    /// What topics are called.
    pub topics: TopicsSettings,
    /// Metrics and probes.
    pub http: HttpSettings,
    /// What operators may do over HTTP.
    pub admin: AdminSettings,
    /// Logs and traces.
    pub telemetry: TelemetrySettings,
    /// What is allowed and yet worth a word at every start.
    pub warnings: Vec<String>,
    services: BTreeMap<String, Service>,
    pub(super) lines: BTreeMap<String, Line>,
}

impl Settings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut settings = Self {
            kafka: KafkaSettings::read(reader),
            redis: RedisSettings::read(reader),
            dedupe: DedupeSettings::read(reader, "dedupe", &DedupeSettings::default()),
            worker: WorkerSettings::read(reader, "worker", &WorkerSettings::default()),
            retry: RetryOverrides::read(reader, "retry", &RetryOverrides::default()),
            breaker: BreakerSettings::read(reader, "breaker", &BreakerSettings::default()),
            dead_letter: DeadLetterSettings::read(reader),
            ledger: LedgerSettings::read(reader, "ledger", &LedgerSettings::default()),
            topics: TopicsSettings::read(reader),
            http: HttpSettings::read(reader),
            admin: AdminSettings::read(reader),
            telemetry: TelemetrySettings::read(reader),
            ..Self::default()
        };
        let (dedupe, retry) = (&settings.dedupe, &settings.retry);
        settings.ledger.check(reader, "dedupe.prefix", &dedupe.prefix);
        rules::horizon(reader, &[String::new()], dedupe.ttl, dedupe.lease, retry.budget);
        settings.read_services(reader);
        settings
    }

    /// Whether somebody has said what is to be logged: in the environment, or other than the default in a file.
    pub(crate) fn asks_for_logs(&self) -> bool {
        let origin = self.lines.get("telemetry.log_filter").map(|line| &line.origin);
        matches!(origin, Some(Origin::Environment(_)))
            || self.telemetry.log_filter != TelemetrySettings::default().log_filter
    }

    /// The effective configuration, the application's part included: `section.key = value   # origin`, one line
    /// per key, secrets as `***`.
    #[must_use]
    pub fn render(&self) -> String {
        let lines: Vec<(String, &Origin)> = self
            .lines
            .iter()
            // What a service does not say itself stands in the general sections already.
            .filter(|(key, line)| line.origin != Origin::Default || !key.starts_with("services."))
            .map(|(key, line)| (format!("{key} = {}", line.shown), &line.origin))
            .collect();
        let width = lines.iter().map(|(text, _)| text.chars().count()).max().unwrap_or(0).min(60);
        lines.iter().map(|(text, origin)| format!("{text:width$}   # {origin}\n")).collect()
    }
}
