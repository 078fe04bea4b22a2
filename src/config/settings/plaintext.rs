//! Whether what is said to Kafka and Redis could be read, or answered by somebody else, on its way.
//!
//! Within this machine nobody listens. Beyond it, plaintext is refused unless somebody says that it is meant: Kafka's
//! client speaks plaintext by default, and a forgotten key should not send passwords and payments in the clear.

use std::net::IpAddr;

use super::kafka::KafkaSettings;
use crate::config::Reader;

/// Properties that let anybody answer in a broker's name, by the value that does.
const TRUSTING: [(&str, &str, &str); 3] = [
    ("enable.sasl.oauthbearer.unsecure.jwt", "true", "anybody can make such a token"),
    ("enable.ssl.certificate.verification", "false", "anybody could answer in the broker's name"),
    (
        "ssl.endpoint.identification.algorithm",
        "none",
        "anybody with a certificate could answer in the broker's name",
    ),
];

/// What of `[kafka]` is as good as plaintext, or is it.
pub(super) fn kafka(reader: &mut Reader, settings: &KafkaSettings) {
    let allow = "or `kafka.allow_plaintext = true` where the network keeps others out";
    let property = |name: &str| settings.properties.get(name).map(|value| value.reveal().to_lowercase());
    let protocol = property("security.protocol").unwrap_or_else(|| "plaintext".to_owned());
    let brokers = || settings.brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty());
    let remote = || brokers().filter(|broker| !is_loopback(host(after_scheme(broker).1)));
    let other =
        |broker: &&str| after_scheme(broker).0.is_some_and(|scheme| !scheme.eq_ignore_ascii_case(&protocol));
    if let Some(broker) = brokers().find(other) {
        reader.problem(
            "kafka.brokers",
            format!(
                "{broker} would be left out, for \"security.protocol\" is {protocol:?}; allowed is HOST:PORT, with the protocol under [kafka.properties]"
            ),
        );
    }
    if settings.allow_plaintext {
        return;
    }
    let open = remote().next().filter(|_| is_plaintext(&protocol));
    if let Some(open) = open {
        let login = if property("sasl.mechanism").or_else(|| property("sasl.mechanisms")).is_some() {
            "sasl_ssl"
        } else {
            "ssl"
        };
        reader.problem(
            "kafka.brokers",
            format!(
                "{open} would be spoken to without encryption; allowed is \"security.protocol\" = {login:?} under [kafka.properties], {allow}"
            ),
        );
    }
    if remote().next().is_none() {
        return;
    }
    for (name, trusting, why) in TRUSTING {
        if property(name).is_some_and(|value| as_read(&value) == trusting) {
            reader.problem(&format!("kafka.properties.{name}"), format!("{why}; leave it out, {allow}"));
        }
    }
}

/// A Redis beyond this machine without TLS: that of the URL, or one of `places` (`host:port`), which stand under `key`.
pub(super) fn redis(reader: &mut Reader, url: &str, (key, places): (&str, &[String]), allowed: bool) {
    let Some(rest) = url.strip_prefix("redis://") else { return };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let server = authority.rsplit_once('@').map_or(authority, |(_, server)| server);
    let elsewhere = |server: &str| !allowed && !is_loopback(host(server));
    let why = "would be spoken to without encryption; allowed is rediss:// in `redis.url`, or \
               `redis.allow_plaintext = true` where the network keeps others out";
    if elsewhere(server) {
        reader.problem("redis.url", why);
    } else if let Some(place) = places.iter().find(|place| elsewhere(place)) {
        reader.problem(key, format!("{place} {why}"));
    }
}

fn is_plaintext(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("plaintext") || protocol.eq_ignore_ascii_case("sasl_plaintext")
}

/// A value as Kafka's client reads it, which takes more than one word for yes and no.
fn as_read(value: &str) -> &str {
    match value.trim() {
        "t" | "1" => "true",
        "f" | "0" => "false",
        other => other,
    }
}

/// Kafka's client takes brokers as `ssl://host:port`, too, and leaves out those with another protocol than its own.
fn after_scheme(broker: &str) -> (Option<&str>, &str) {
    broker.split_once("://").map_or((None, broker), |(scheme, rest)| (Some(scheme), rest))
}

/// The host of `host:port`, `host`, `[::1]:port` or `::1`.
fn host(address: &str) -> &str {
    if let Some(rest) = address.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    match address.split_once(':') {
        Some((host, port)) if !port.contains(':') => host,
        _ => address,
    }
}

/// Whether a host is this machine whatever the network says.
fn is_loopback(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().map(|address| address.to_canonical());
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The problems of this configuration.
    fn problems(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("default.toml"), text).unwrap();
        let sources = crate::config::Sources::new(Default::default(), [("", ""); 0]).in_folder(folder.path());
        let problems = crate::config::load::<()>(&sources).err().map_or_else(Vec::new, |problems| problems.0);
        problems.into_iter().map(|problem| format!("{}: {}", problem.key, problem.message)).collect()
    }

    #[test]
    fn plaintext_to_a_broker_elsewhere_is_refused_unless_it_is_allowed() {
        let brokers = "kafka.brokers = \"localhost:1, kafka:9092\"\n";
        let protocol =
            |protocol: &str| format!("{brokers}kafka.properties.\"security.protocol\" = \"{protocol}\"\n");
        let why = |protocol: &str| {
            format!(
                "kafka.brokers: kafka:9092 would be spoken to without encryption; allowed is \"security.protocol\" = \
                 \"{protocol}\" under [kafka.properties], or `kafka.allow_plaintext = true` where the network keeps \
                 others out"
            )
        };
        assert_eq!(problems(brokers), [why("ssl")]);
        assert_eq!(problems(&protocol("PLAINTEXT")), [why("ssl")]);
        let login =
            format!("{}kafka.properties.\"sasl.mechanism\" = \"PLAIN\"\n", protocol("Sasl_Plaintext"));
        assert_eq!(problems(&login), [why("sasl_ssl")]);
        for fine in [
            protocol("ssl"),
            protocol("SASL_SSL"),
            format!("{brokers}kafka.allow_plaintext = true\n"),
            "kafka.brokers = \"localhost:9092,[::1]:9092\"\n".to_owned(),
            protocol("ssl").replace("kafka:9092", "SSL://kafka:9092"),
        ] {
            assert_eq!(problems(&fine), [""; 0], "{fine}");
        }
    }

    #[test]
    fn a_broker_that_the_client_would_leave_out_is_refused() {
        for text in [
            "kafka.brokers = \"ssl://kafka:9092, localhost:9092\"\n",
            "kafka.brokers = \"ssl://localhost:9092\"\nkafka.allow_plaintext = true\n",
            "kafka.brokers = \"plaintext://kafka:9092\"\nkafka.properties.\"security.protocol\" = \"ssl\"\n",
        ] {
            let problems = problems(text);
            assert!(problems.iter().any(|problem| problem.contains("would be left out")), "{problems:?}");
        }
    }

    #[test]
    fn yes_and_no_are_read_as_the_client_reads_them() {
        for (name, value) in [
            ("enable.ssl.certificate.verification", "0"),
            ("enable.ssl.certificate.verification", "\"F\""),
            ("enable.sasl.oauthbearer.unsecure.jwt", "1"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "\"t\""),
        ] {
            let text = format!(
                "kafka.brokers = \"kafka:9092\"\n[kafka.properties]\n\"security.protocol\" = \"ssl\"\n{name:?} = {value}\n"
            );
            assert_eq!(problems(&text).len(), 1, "{text}");
        }
    }

    #[test]
    fn what_trusts_anybody_is_as_good_as_plaintext() {
        let text = "kafka.brokers = \"kafka:9092\"\n[kafka.properties]\n\"security.protocol\" = \"ssl\"\n\
                    \"enable.ssl.certificate.verification\" = false\n\
                    \"ssl.endpoint.identification.algorithm\" = \"none\"\n\
                    \"enable.sasl.oauthbearer.unsecure.jwt\" = true\n";
        let keys: Vec<String> = problems(text)
            .iter()
            .map(|problem| problem.split(": ").next().unwrap().replace("kafka.properties.", ""))
            .collect();
        assert_eq!(keys, TRUSTING.map(|(name, _, _)| name));
        assert_eq!(problems(&text.replace("kafka:9092", "localhost:9092")), [""; 0], "through a tunnel, say");
        assert_eq!(problems(&format!("kafka.allow_plaintext = true\n{text}")), [""; 0]);
    }

    #[test]
    fn redis_elsewhere_wants_tls_unless_plaintext_is_allowed() {
        let url = |url: &str| problems(&format!("redis.url = \"{url}\"\n"));
        for far in
            ["redis://redis:6379", "redis://u:p@10.0.0.1", "redis://:a/b@redis", "redis://redis?x=@localhost"]
        {
            let [problem] = &url(far)[..] else { panic!("{far}") };
            assert!(
                problem.contains("rediss://") && problem.contains("`redis.allow_plaintext = true`"),
                "{problem}"
            );
        }
        for near in [
            "redis://localhost:6379/1",
            "redis://u:p@127.0.0.1",
            "redis://[::1]:6379",
            "rediss://redis",
            "unix:///run/redis",
        ] {
            assert_eq!(url(near), [""; 0], "{near}");
        }
        assert_eq!(problems("redis.url = \"redis://redis\"\nredis.allow_plaintext = true\n"), [""; 0]);
    }

    #[test]
    fn only_what_stays_within_the_machine_is_loopback() {
        for near in [
            "localhost:9092",
            "LOCALHOST",
            "a.localhost:1",
            "127.0.0.1:9092",
            "127.8.9.1",
            "[::1]:9092",
            "::1",
        ] {
            assert!(is_loopback(host(near)), "{near}");
        }
        for far in [
            "kafka:9092",
            "localhost.example.com:9092",
            "127.0.0.1.example.com",
            "10.0.0.1:9092",
            "0.0.0.0:9092",
            "[2001:db8::1]:9092",
            "",
            ":9092",
        ] {
            assert!(!is_loopback(host(far)), "{far}");
        }
        assert!(is_loopback(host("[::ffff:127.0.0.1]:9092")));
    }
}
