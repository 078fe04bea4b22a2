//! `[dedupe]`: how long an event is remembered and a claim is held.

use std::time::Duration;

use crate::{config::Reader, store::Layout};

/// How events are remembered. The same under `[services.NAME.dedupe]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DedupeSettings {
    /// How long a settled event is remembered: the longest distance at which a repetition is noticed. Unset, each
    /// handler's own counts, and [`DEFAULT_TTL`](Self::DEFAULT_TTL) for those without one.
    pub ttl: Option<Duration>,
    /// How long a claim outlives the worker that stopped renewing it. At least a second.
    pub lease: Duration,
    /// How the store keeps events that have ended.
    pub layout: Layout,
    /// What happens while the store cannot be reached.
    pub on_unavailable: OnUnavailable,
    /// What every key in the store begins with.
    pub prefix: String,
    /// After how many take-overs an event that kills the process is given up, from 1.
    pub max_deliveries: u32,
}

/// What happens while the store cannot be reached. Working without it is not among the choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnUnavailable {
    /// Partitions pause, and work resumes by itself.
    Pause,
    /// The worker ends.
    Fail,
}

impl Default for DedupeSettings {
    fn default() -> Self {
        Self {
            ttl: None,
            lease: Duration::from_secs(10),
            layout: Layout::Keys,
            on_unavailable: OnUnavailable::Pause,
            prefix: "oncewise".to_owned(),
            max_deliveries: 3,
        }
    }
}

impl DedupeSettings {
    /// A week, which is what topics keep unless told otherwise, and a day of grace.
    pub const DEFAULT_TTL: Duration = Duration::from_secs(8 * 86_400);

    /// Reads a section; what it does not say is as in `base`.
    pub(super) fn read(reader: &mut Reader, section: &str, base: &Self) -> Self {
        let key = |name: &str| format!("{section}.{name}");
        let layouts = [("keys", Layout::Keys), ("compact", Layout::Compact)];
        let layout = reader.choice(&key("layout"), base.layout, &layouts);
        let outages = [("pause", OnUnavailable::Pause), ("fail", OnUnavailable::Fail)];
        Self {
            ttl: ttl(reader, section, base.ttl),
            lease: reader.duration(&key("lease"), base.lease),
            layout,
            on_unavailable: reader.choice(&key("on_unavailable"), base.on_unavailable, &outages),
            prefix: reader.parsed(
                &key("prefix"),
                base.prefix.clone(),
                "A-Z, a-z, 0-9, _, -, . and :",
                |text| is_prefix(text).then(|| text.to_owned()),
            ),
            max_deliveries: max_deliveries(reader, section, base.max_deliveries),
        }
    }
}

pub(super) fn ttl(reader: &mut Reader, section: &str, base: Option<Duration>) -> Option<Duration> {
    let key = format!("{section}.ttl");
    let said = reader.duration(&key, base.unwrap_or(DedupeSettings::DEFAULT_TTL));
    if reader.has(&key) { Some(said) } else { base }
}

pub(super) fn max_deliveries(reader: &mut Reader, section: &str, base: u32) -> u32 {
    reader.integer_in(&format!("{section}.max_deliveries"), base, 1..=1000)
}

/// Braces above all are not allowed: they would move the keys to other slots of a Redis Cluster.
fn is_prefix(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.:".contains(c))
}
