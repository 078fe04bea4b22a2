//! `[dead_letter]`, `[ledger]`, `[topics]` and `[http]`: what others see of a worker.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::config::Reader;

/// `[dead_letter]`: how letters are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterSettings {
    /// How long the broker may take to acknowledge a letter before it counts as a fault.
    pub delivery_timeout: Duration,
    /// A letter that was redriven so often is parked instead.
    pub max_redrives: u32,
    /// Whether letters carry the headers of Spring Kafka's as well.
    pub spring_headers: bool,
}

impl Default for DeadLetterSettings {
    fn default() -> Self {
        Self { delivery_timeout: Duration::from_secs(30), max_redrives: 3, spring_headers: false }
    }
}

impl DeadLetterSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        Self {
            delivery_timeout: reader.duration("dead_letter.delivery_timeout", default.delivery_timeout),
            max_redrives: reader.integer_in("dead_letter.max_redrives", default.max_redrives, 0..=1_000_000),
            spring_headers: reader.flag("dead_letter.spring_headers", default.spring_headers),
        }
    }
}

/// `[ledger]`: whether what took effect is also written down in Kafka, for longer than the store remembers it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerSettings {
    /// Whether every settled event is written there before it is committed.
    pub enabled: bool,
}

impl LedgerSettings {
    pub(super) fn read(reader: &mut Reader, section: &str, base: &Self) -> Self {
        Self { enabled: reader.flag(&format!("{section}.enabled"), base.enabled) }
    }

    /// Its topics are named after the prefix of the store's keys, which may hold more than a topic's name may.
    pub(super) fn check(&self, reader: &mut Reader, key: &str, prefix: &str) {
        if self.enabled && !is_topic(prefix) {
            let allowed =
                "with ledger.enabled it begins the name of a topic; allowed are A-Z, a-z, 0-9, _, - and .";
            reader.problem(key, allowed);
        }
    }
}

/// `[topics]`: what topics are called, and who makes ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicsSettings {
    /// Whether `run` makes the topics the framework itself needs.
    pub create: bool,
    /// The name in Kafka by the name in the code, where they differ.
    pub names: BTreeMap<String, String>,
    /// Of the topics that are made; the broker's own default when `None`.
    pub replication_factor: Option<i32>,
    /// Where everything is written down that operators do.
    pub audit: String,
    /// Where operators tell all pods at once to pause, and these say how they are; `None` when switched off.
    pub control: Option<String>,
}

impl Default for TopicsSettings {
    fn default() -> Self {
        Self {
            create: true,
            names: BTreeMap::new(),
            replication_factor: None,
            audit: "oncewise.audit".to_owned(),
            control: Some("oncewise.control".to_owned()),
        }
    }
}

impl TopicsSettings {
    /// The name in Kafka of a topic that the code calls `logical`.
    #[must_use]
    pub fn physical<'a>(&'a self, logical: &'a str) -> &'a str {
        self.names.get(logical).map_or(logical, String::as_str)
    }

    pub(super) fn read(reader: &mut Reader) -> Self {
        let mut names = BTreeMap::new();
        let allowed = "1 to 249 of A-Z, a-z, 0-9, _, - and .";
        for logical in reader.keys("topics.names") {
            let key = format!("topics.names.{logical}");
            let physical = reader.optional_parsed(&key, allowed, topic);
            names.extend(physical.map(|physical| (logical, physical)));
        }
        let default = Self::default();
        Self {
            create: reader.flag("topics.create", default.create),
            names,
            replication_factor: reader.optional_integer_in("topics.replication_factor", 1..=100),
            audit: reader.parsed("topics.audit", default.audit, allowed, topic),
            control: control(reader, default.control),
        }
    }
}

/// The name of a topic, or none.
fn control(reader: &mut Reader, default: Option<String>) -> Option<String> {
    let show = |name: &Option<String>| format!("\"{}\"", name.as_deref().unwrap_or("off"));
    let allowed = "1 to 249 of A-Z, a-z, 0-9, _, - and ., or \"off\"";
    reader.get("topics.control", default, show, allowed, |value| match value.text()?.trim() {
        "off" => Some(None),
        name => topic(name).map(Some),
    })
}

fn topic(text: &str) -> Option<String> {
    is_topic(text).then(|| text.to_owned())
}

/// Whether Kafka takes it for the name of a topic.
pub(crate) fn is_topic(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (1..=249).contains(&text.len()) && text.chars().all(plain) && text != "." && text != ".."
}

/// `[http]`: metrics and probes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Where to listen; `None` when switched off.
    pub listen: Option<SocketAddr>,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self { listen: Some(SocketAddr::from(([127, 0, 0, 1], 9464))) }
    }
}

impl HttpSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self { listen: listen(reader, "http.listen", Self::default().listen) }
    }
}

/// An address to listen at, or none.
pub(super) fn listen(reader: &mut Reader, key: &str, default: Option<SocketAddr>) -> Option<SocketAddr> {
    let show = |listen: &Option<SocketAddr>| {
        listen.map_or_else(|| "\"off\"".to_owned(), |address| format!("\"{address}\""))
    };
    let allowed = "an address with a port such as \"0.0.0.0:9464\", or \"off\"";
    reader.get(key, default, show, allowed, |value| match value.text()?.trim() {
        "off" => Some(None),
        address => address.parse().ok().map(Some),
    })
}
