//! How clients are configured: what the framework needs, then what the user wants, then what it owns.

use std::{collections::BTreeMap, fmt, time::Duration};

use rdkafka::{ClientConfig, config::RDKafkaLogLevel};

use crate::config::KafkaSettings;

/// Properties the framework decides alone: a wrong value loses or doubles events. Values set by users under
/// these names are without effect; the configuration refuses them.
pub const OWNED: &[&str] = &[
    "acks",
    "allow.auto.create.topics",
    "auto.offset.reset",
    "bootstrap.servers",
    "client.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "metadata.broker.list",
    "partition.assignment.strategy",
    "request.required.acks",
    "transactional.id",
];

/// Fetched, but not yet handed over, per partition.
const PREFETCH_KILOBYTES: &str = "4096";
/// A connection on which a request has waited so long for its answer leads nowhere. Work that waits for it stands
/// still meanwhile, so it is less than the library's own minute.
const SILENCE_MS: &str = "20000";
/// One answer has to arrive within that time also over a slow line, or it is asked for again and again: this much
/// does at 64 kB/s. Less costs rate where brokers are far away.
const FETCH_BYTES: &str = "1048576";
/// A broker is asked one thing at a time, and a partition of which enough is fetched is left out of the question. Where
/// the others are read to their end, it would get nothing more until the answer about these, that there is nothing.
const FETCH_WAIT_MS: &str = "50";
/// A batch of several records never exceeds this, so that no record is refused for its neighbours' size:
/// topics of ours take at least this much. A larger record travels alone.
const BATCH_BYTES: &str = "65536";

/// Where Kafka is, and how to speak to it.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaClient {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// The name brokers see in their logs and quotas.
    pub client_id: String,
    /// librdkafka's own properties, by their own names.
    pub properties: BTreeMap<String, String>,
    /// Whether the brokers tell the ids of topics. One that does not is not asked: it would not even say no.
    pub(super) tells_topic_ids: bool,
}

impl fmt::Debug for KafkaClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| (key, if is_sensitive(key) { "***" } else { value });
        let properties: BTreeMap<&str, &str> =
            self.properties.iter().map(|(key, value)| shown((key.as_str(), value.as_str()))).collect();
        f.debug_struct("KafkaClient")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("properties", &properties)
            .finish()
    }
}

/// Whether the value of a librdkafka property is a secret.
#[must_use]
pub fn is_sensitive(property: &str) -> bool {
    matches!(
        property,
        "sasl.oauthbearer.assertion.private.key.file"
            | "sasl.oauthbearer.assertion.private.key.passphrase"
            | "sasl.oauthbearer.assertion.private.key.pem"
            | "sasl.oauthbearer.client.credentials.client.secret"
            | "sasl.oauthbearer.client.secret"
            | "sasl.oauthbearer.config"
            | "sasl.password"
            | "sasl.username"
            | "ssl.ca.pem"
            | "ssl.key.location"
            | "ssl.key.password"
            | "ssl.key.pem"
            | "ssl.keystore.password"
            | "ssl.truststore.password"
            | "ssl_key"
    )
}

impl KafkaClient {
    /// A client of these brokers with nothing set beyond the framework's own choices.
    #[must_use]
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            client_id: "oncewise".to_owned(),
            properties: BTreeMap::new(),
            tells_topic_ids: true,
        }
    }

    /// As the configuration says.
    #[must_use]
    pub fn from_settings(settings: &KafkaSettings) -> Self {
        let properties = settings.properties.iter();
        Self {
            brokers: settings.brokers.clone(),
            client_id: settings.client_id.clone(),
            properties: properties.map(|(key, value)| (key.clone(), value.reveal().to_owned())).collect(),
            tells_topic_ids: true,
        }
    }

    /// For a member of a consumer group, which commits by itself and starts nowhere by accident.
    pub(crate) fn consumer(&self, group: &str) -> ClientConfig {
        let mut config = self.reader();
        // The newer group protocol leaves these three to the broker and refuses them from clients.
        if self.properties.get("group.protocol").is_none_or(|protocol| protocol != "consumer") {
            config.set("partition.assignment.strategy", "cooperative-sticky");
            self.suggest(&mut config, &[("session.timeout.ms", "10000"), ("heartbeat.interval.ms", "2000")]);
        }
        self.suggest(&mut config, &[("statistics.interval.ms", "5000")]);
        config.set("group.id", group);
        config
    }

    /// How long the loop that polls may stand still before the group goes on without this member.
    pub(crate) fn poll_interval(&self) -> Duration {
        let millis = self.properties.get("max.poll.interval.ms").and_then(|millis| millis.parse().ok());
        millis.map_or(Duration::from_secs(300), Duration::from_millis)
    }

    /// Whether the brokers tell the ids of topics.
    pub(crate) fn tells_topic_ids(&self) -> bool {
        self.tells_topic_ids
    }

    /// For reading assigned partitions outside of any group, as replays do.
    pub(crate) fn reader(&self) -> ClientConfig {
        let mut config = self.base(&[
            ("fetch.queue.backoff.ms", "5"),
            ("queued.max.messages.kbytes", PREFETCH_KILOBYTES),
            ("queued.min.messages", "10000"),
            ("fetch.message.max.bytes", FETCH_BYTES),
            ("fetch.max.bytes", FETCH_BYTES),
            ("fetch.wait.max.ms", FETCH_WAIT_MS),
            ("isolation.level", "read_committed"),
            ("check.crcs", "true"),
        ]);
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config
    }

    /// For records that must arrive: acknowledged by all replicas, never doubled or reordered by repeats. What
    /// is not acknowledged within `delivery_timeout` is reported as failed.
    pub(crate) fn producer(&self, delivery_timeout: Duration) -> ClientConfig {
        let timeout = delivery_timeout.as_millis().max(1).to_string();
        let mut config = self.base(&[
            ("linger.ms", "2"),
            ("batch.size", BATCH_BYTES),
            ("compression.type", "lz4"),
            // As Java's clients spread keys, or one key would live in two partitions.
            ("partitioner", "murmur2_random"),
            // The broker is the judge of what is too large.
            ("message.max.bytes", "1000000000"),
            ("message.timeout.ms", &timeout),
        ]);
        config.set("acks", "all");
        config.set("enable.idempotence", "true");
        config
    }

    /// For looking at topics and creating them.
    pub(crate) fn admin(&self) -> ClientConfig {
        self.base(&[])
    }

    fn base(&self, suggestions: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        // Its informative lines tell why a connection broke; `Watcher` decides which of them are logged.
        config.set_log_level(RDKafkaLogLevel::Info);
        for (key, value) in &self.properties {
            if !OWNED.contains(&key.as_str()) {
                config.set(key, value);
            }
        }
        self.suggest(
            &mut config,
            &[
                ("reconnect.backoff.max.ms", "2000"),
                ("topic.metadata.refresh.interval.ms", "60000"),
                ("socket.timeout.ms", SILENCE_MS),
                ("socket.keepalive.enable", "true"),
            ],
        );
        self.suggest(&mut config, suggestions);
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", &self.client_id);
        config.set("allow.auto.create.topics", "false");
        config
    }

    /// Sets what the user has not set.
    fn suggest(&self, config: &mut ClientConfig, suggestions: &[(&str, &str)]) {
        for (key, value) in suggestions {
            if !self.properties.contains_key(*key) {
                config.set(*key, *value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(properties: &[(&str, &str)]) -> KafkaClient {
        let mut client = KafkaClient::new("broker:9092");
        client.properties =
            properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        client
    }

    #[test]
    fn the_library_accepts_every_choice() {
        let client = client(&[]);
        for config in [
            client.consumer("group"),
            client.reader(),
            client.producer(Duration::from_secs(30)),
            client.admin(),
        ] {
            config.create_native_config().expect("accepted");
        }
        let _: rdkafka::consumer::BaseConsumer = client.consumer("group").create().expect("a consumer");
        let _: rdkafka::producer::BaseProducer =
            client.producer(Duration::from_secs(30)).create().expect("a producer");
    }

    #[test]
    fn users_override_what_is_not_owned() {
        let client = client(&[
            ("session.timeout.ms", "45000"),
            ("linger.ms", "50"),
            ("enable.auto.commit", "true"),
            ("acks", "1"),
        ]);
        assert_eq!(client.consumer("group").get("session.timeout.ms"), Some("45000"));
        assert_eq!(client.consumer("group").get("enable.auto.commit"), Some("false"));
        let producer = client.producer(Duration::from_secs(30));
        assert_eq!(producer.get("linger.ms"), Some("50"));
        assert_eq!(producer.get("acks"), Some("all"));
        assert_eq!(producer.get("message.timeout.ms"), Some("30000"));
        assert_eq!(producer.get("partitioner"), Some("murmur2_random"), "as Java's clients");
    }

    #[test]
    fn owned_properties_never_reach_a_client_that_does_not_set_them() {
        let client = client(&[("transactional.id", "x"), ("request.required.acks", "0"), ("group.id", "x")]);
        let producer = client.producer(Duration::from_secs(1));
        assert_eq!(producer.get("transactional.id"), None);
        assert_eq!(producer.get("request.required.acks"), None);
        assert_eq!(client.consumer("mine").get("group.id"), Some("mine"));
    }

    #[test]
    fn nothing_is_created_by_asking_for_it() {
        let client = client(&[("allow.auto.create.topics", "true")]);
        for config in [client.consumer("group"), client.producer(Duration::from_secs(1)), client.admin()] {
            assert_eq!(config.get("allow.auto.create.topics"), Some("false"));
        }
    }

    #[test]
    fn the_newer_group_protocol_is_left_alone() {
        let client = client(&[("group.protocol", "consumer")]);
        let config = client.consumer("group");
        assert_eq!(config.get("session.timeout.ms"), None);
        let _: rdkafka::consumer::BaseConsumer = config.create().expect("a consumer");
    }

    #[test]
    fn debug_hides_secrets() {
        let client = client(&[("sasl.password", "hunter2"), ("sasl.mechanism", "PLAIN")]);
        let text = format!("{client:?}");
        assert!(!text.contains("hunter2") && text.contains("PLAIN"), "{text}");
    }
}
