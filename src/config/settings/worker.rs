//! `[worker]`: how much runs at once, and when.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::config::{Reader, units};

/// How records are worked on. The same under `[services.NAME.worker]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerSettings {
    /// Handlers that run at the same time, 1 to 100,000.
    pub concurrency: usize,
    /// What must not overtake each other.
    pub ordering: Ordering,
    /// Records that were fetched and are not settled, at most.
    pub max_in_flight: usize,
    /// Their keys and values together in bytes, at most.
    pub max_in_flight_bytes: u64,
    /// The largest record that is decoded: key, value and headers together, in bytes.
    pub max_record_bytes: u64,
    /// The most headers of a record that is decoded.
    pub max_headers: usize,
    /// How long a stopping worker waits for running handlers.
    pub drain_timeout: Duration,
    /// How often finished offsets are committed.
    pub commit_interval: Duration,
    /// How long one attempt of a handler may take.
    pub handler_timeout: Duration,
    /// How many attempts of each handler may begin in a second; 0 for any number, `None` for what the handler says.
    pub rate_limit: Option<u32>,
    /// How old a record is at its first attempt; zero for any age, `None` for what the handler says.
    pub first_delay: Option<Duration>,
    /// Where a group begins that has never committed.
    pub start_from: StartFrom,
    /// The name that each pod keeps in its group over restarts; without one it is a new member every time.
    pub instance_id: Option<InstanceId>,
    /// How long a partition may stand still while records wait before the process counts as stuck; `None` for ever.
    pub stall_after: Option<Duration>,
}

/// What a pod is called in its group, with places for the names of its host and of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceId(String);

impl InstanceId {
    /// Kafka allows no more.
    const LONGEST: usize = 249;

    fn parse(text: &str) -> Option<Self> {
        let id = Self(text.trim().to_owned());
        let name = id.of("x", "x");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let is_name =
            name.chars().all(plain) && name.len() <= Self::LONGEST && !["", ".", ".."].contains(&&*name);
        is_name.then_some(id)
    }

    /// The name of the pod on this host.
    #[must_use]
    pub fn of(&self, service: &str, hostname: &str) -> String {
        self.0.replace("{service}", service).replace("{hostname}", hostname)
    }
}

/// What must not overtake each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordering {
    /// Records with the same key.
    Key,
    /// All records of a partition.
    Partition,
    /// Nothing.
    None,
}

/// Where a group begins that has never committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// With the oldest record there is.
    Earliest,
    /// With the records that come from now on.
    Latest,
    /// With the first record of this time or later.
    Time(Timestamp),
}

/// As it is written in a configuration.
impl fmt::Display for StartFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Earliest => f.write_str("earliest"),
            Self::Latest => f.write_str("latest"),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl Default for WorkerSettings {
    fn default() -> Self {
        Self {
            concurrency: 64,
            ordering: Ordering::Key,
            max_in_flight: 4_000,
            max_in_flight_bytes: 64 << 20,
            max_record_bytes: 8 << 20,
            max_headers: 10_000,
            drain_timeout: Duration::from_secs(25),
            commit_interval: Duration::from_millis(200),
            handler_timeout: Duration::from_secs(300),
            rate_limit: None,
            first_delay: None,
            start_from: StartFrom::Earliest,
            instance_id: None,
            stall_after: Some(Duration::from_secs(120)),
        }
    }
}

impl WorkerSettings {
    /// Reads a section; what it does not say is as in `base`.
    pub(super) fn read(reader: &mut Reader, section: &str, base: &Self) -> Self {
        let key = |name: &str| format!("{section}.{name}");
        let orderings =
            [("key", Ordering::Key), ("partition", Ordering::Partition), ("none", Ordering::None)];
        Self {
            concurrency: reader.integer_in(&key("concurrency"), base.concurrency, 1..=100_000),
            ordering: reader.choice(&key("ordering"), base.ordering, &orderings),
            max_in_flight: reader.integer_in(&key("max_in_flight"), base.max_in_flight, 1..=10_000_000),
            max_in_flight_bytes: reader.size(&key("max_in_flight_bytes"), base.max_in_flight_bytes),
            max_record_bytes: reader.size(&key("max_record_bytes"), base.max_record_bytes),
            max_headers: reader.integer_in(&key("max_headers"), base.max_headers, 0..=1_000_000),
            drain_timeout: reader.duration(&key("drain_timeout"), base.drain_timeout),
            commit_interval: reader.duration(&key("commit_interval"), base.commit_interval),
            handler_timeout: reader.duration(&key("handler_timeout"), base.handler_timeout),
            rate_limit: rate_limit(reader, section).or(base.rate_limit),
            first_delay: first_delay(reader, section).or(base.first_delay),
            start_from: reader.parsed(
                &key("start_from"),
                base.start_from,
                "\"earliest\", \"latest\" or a time such as \"2026-01-31T08:00:00Z\"",
                start_from,
            ),
            instance_id: reader
                .optional_parsed(
                    &key("instance_id"),
                    "a name of A-Z, a-z, 0-9, `.`, `_` and `-`, with {hostname} and {service} for names that differ",
                    InstanceId::parse,
                )
                .or_else(|| base.instance_id.clone()),
            stall_after: reader.duration_or_off(&key("stall_after"), base.stall_after),
        }
    }
}

/// `rate_limit` of a section.
pub(super) fn rate_limit(reader: &mut Reader, section: &str) -> Option<u32> {
    reader.optional_integer_in(&format!("{section}.rate_limit"), 0..=1_000_000)
}

/// `first_delay` of a section.
pub(super) fn first_delay(reader: &mut Reader, section: &str) -> Option<Duration> {
    let allowed = "a duration from 1ms to ten years, such as \"30s\", or \"off\"";
    reader.optional_parsed(&format!("{section}.first_delay"), allowed, |text| match text.trim() {
        "off" => Some(Duration::ZERO),
        text => units::duration(text),
    })
}

fn start_from(text: &str) -> Option<StartFrom> {
    match text.trim() {
        "earliest" => Some(StartFrom::Earliest),
        "latest" => Some(StartFrom::Latest),
        time => time.parse().ok().map(StartFrom::Time),
    }
}
