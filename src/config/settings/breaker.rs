//! `[breaker]`: when a handler is left alone because all that it does fails.

use std::time::Duration;

use crate::config::Reader;

/// When a handler's attempts are not worth making, and how it is found out that they are again. The same under
/// `[services.NAME.breaker]` and `[services.NAME.handlers.HANDLER.breaker]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerSettings {
    /// Whether there is one.
    pub enabled: bool,
    /// Attempts that are older do not count.
    pub window: Duration,
    /// It takes so many attempts.
    pub minimum: u32,
    /// So many events have to fail.
    pub events: u32,
    /// How many of 100 attempts have to fail.
    pub percent: u32,
    /// Until the first probe; doubles with each probe that fails.
    pub probe_every: Duration,
    /// The longest time between two probes.
    pub probe_at_least_every: Duration,
    /// So many answers more than make up for the failures at `percent`, and the work goes on as before.
    pub recover: u32,
    /// After so long without an answer, what fails is dead-lettered all the same.
    pub patience: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Duration::from_secs(10),
            minimum: 10,
            events: 3,
            percent: 80,
            probe_every: Duration::from_secs(1),
            probe_at_least_every: Duration::from_secs(5),
            recover: 20,
            patience: Duration::from_secs(3_600),
        }
    }
}

impl BreakerSettings {
    /// Reads a section; what it does not say is as in `base`.
    pub(super) fn read(reader: &mut Reader, section: &str, base: &Self) -> Self {
        let key = |name: &str| format!("{section}.{name}");
        let settings = Self {
            enabled: reader.flag(&key("enabled"), base.enabled),
            window: reader.duration(&key("window"), base.window),
            minimum: reader.integer_in(&key("minimum"), base.minimum, 2..=1_000_000),
            events: reader.integer_in(&key("events"), base.events, 2..=100),
            percent: reader.integer_in(&key("percent"), base.percent, 1..=100),
            probe_every: reader.duration(&key("probe_every"), base.probe_every),
            probe_at_least_every: reader.duration(&key("probe_at_least_every"), base.probe_at_least_every),
            recover: reader.integer_in(&key("recover"), base.recover, 1..=1_000_000),
            patience: reader.duration(&key("patience"), base.patience),
        };
        let is_said = ["probe_every", "probe_at_least_every"].iter().any(|name| reader.has(&key(name)));
        if is_said && settings.probe_at_least_every < settings.probe_every {
            let (least, every) = (key("probe_at_least_every"), key("probe_every"));
            reader.problem(&least, format!("must not be shorter than `{every}`"));
        }
        settings
    }
}
