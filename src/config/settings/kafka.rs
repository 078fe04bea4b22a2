//! `[kafka]`: where the brokers are and how to talk to them.

use std::collections::{BTreeMap, BTreeSet};

use super::plaintext;
use crate::{
    config::{Reader, Secret},
    kafka,
};

/// How to reach Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port` with commas between them; any broker of the cluster leads to the others.
    pub brokers: String,
    /// The name the brokers log and meter this program under.
    pub client_id: String,
    /// Whether brokers beyond this machine may be spoken to without encryption.
    pub allow_plaintext: bool,
    /// Passed to the Kafka client (librdkafka) as they are, by their names with dots.
    pub properties: BTreeMap<String, Property>,
}

/// The value of a client property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Property {
    /// May be shown.
    Plain(String),
    /// Must not be shown.
    Secret(Secret),
}

impl Property {
    /// The value, for the client alone.
    #[must_use]
    pub fn reveal(&self) -> &str {
        match self {
            Self::Plain(text) => text,
            Self::Secret(secret) => secret.reveal(),
        }
    }
}

impl Default for KafkaSettings {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".to_owned(),
            client_id: "oncewise".to_owned(),
            allow_plaintext: false,
            properties: BTreeMap::new(),
        }
    }
}

/// Words that make a property sensitive whatever the client says: it may be newer than the list, or meant for
/// another client.
const SUSPICIOUS: [&str; 4] = ["password", "passphrase", "secret", "jaas"];

/// Properties that would break a promise if they were set, and the reason.
const OWNED: [(&str, &str); 12] = [
    ("acks", "a dead letter must be on all replicas before its record is settled"),
    ("auto.commit.enable", COMMITS),
    ("auto.offset.reset", "`worker.start_from` says where a new group begins"),
    ("bootstrap.servers", "`kafka.brokers` says where the brokers are"),
    ("client.id", "`kafka.client_id` says the name"),
    ("enable.auto.commit", COMMITS),
    ("enable.auto.offset.store", COMMITS),
    ("enable.idempotence", "a repeated produce must not make a second record"),
    ("group.instance.id", "`worker.instance_id` says what a pod is called in its group"),
    ("group.id", "`services.NAME.group` says the group"),
    ("metadata.broker.list", "`kafka.brokers` says where the brokers are"),
    ("request.required.acks", "a dead letter must be on all replicas before its record is settled"),
];
const COMMITS: &str = "only finished records are committed, and only by the worker";

/// With the newer group protocol these are the brokers' business, and Kafka's client refuses them.
const THE_BROKERS: [&str; 2] = ["heartbeat.interval.ms", "session.timeout.ms"];

fn is_sensitive(property: &str) -> bool {
    kafka::is_sensitive(property) || SUSPICIOUS.iter().any(|word| property.contains(word))
}

impl KafkaSettings {
    pub(super) fn read(reader: &mut Reader) -> Self {
        let default = Self::default();
        let brokers = reader.list("kafka.brokers", &[&default.brokers]);
        if brokers.is_empty() {
            reader.problem("kafka.brokers", "allowed is at least one host:port");
        }
        let settings = Self {
            brokers: brokers.join(","),
            client_id: reader.text("kafka.client_id", &default.client_id),
            allow_plaintext: reader.flag("kafka.allow_plaintext", default.allow_plaintext),
            properties: properties(reader),
        };
        plaintext::kafka(reader, &settings);
        settings.refuse_oidc(reader);
        settings
    }

    /// Kafka's client fetches tokens with a library that is not built in by default, and then finds fault with the
    /// secret instead of saying so.
    fn refuse_oidc(&self, reader: &mut Reader) {
        let key = "sasl.oauthbearer.method";
        let is_oidc = |method: &Property| method.reveal().eq_ignore_ascii_case("oidc");
        if !cfg!(feature = "oidc") && self.properties.get(key).is_some_and(is_oidc) {
            reader.problem(
                &format!("kafka.properties.{key}"),
                "this program was built without the cargo feature `oidc`, which fetches tokens",
            );
        }
    }
}

fn properties(reader: &mut Reader) -> BTreeMap<String, Property> {
    let written = reader.keys("kafka.properties");
    let names: BTreeSet<&str> =
        written.iter().map(|name| name.strip_suffix("_file").unwrap_or(name)).collect();
    let mut properties = BTreeMap::new();
    for name in names {
        let key = format!("kafka.properties.{name}");
        // A value from a file is kept as a secret, whatever it is: somebody took it out of the configuration.
        let value = if is_sensitive(name) || reader.has(&format!("{key}_file")) {
            reader.secret(&key).map(Property::Secret)
        } else {
            let scalar = "a text, a number, true or false";
            reader.find(&key, scalar, |value| value.scalar().map(|text| Property::Plain(text.into_owned())))
        };
        let reason = OWNED.iter().find(|(owned, _)| *owned == name).map(|(_, reason)| *reason);
        let reason = reason.or(kafka::OWNED.contains(&name).then_some("the framework decides it"));
        if let Some(reason) = reason {
            reader.problem(&key, format!("cannot be set: {reason}"));
        }
        properties.extend(value.map(|value| (name.to_owned(), value)));
    }
    protocol(reader, &properties);
    properties
}

/// Which group protocol, and what goes with it.
fn protocol(reader: &mut Reader, properties: &BTreeMap<String, Property>) {
    const KEY: &str = "group.protocol";
    match properties.get(KEY).map(Property::reveal) {
        None | Some("classic") => {}
        Some("consumer") => {
            for name in THE_BROKERS.iter().filter(|name| properties.contains_key(**name)) {
                let whose = format!(
                    "cannot be set with {KEY} = \"consumer\": the brokers decide it, group.consumer.{name}"
                );
                reader.problem(&format!("kafka.properties.{name}"), whose);
            }
        }
        Some(_) => {
            reader.problem(&format!("kafka.properties.{KEY}"), "allowed is \"classic\" or \"consumer\"")
        }
    }
}
