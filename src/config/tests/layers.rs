use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::config::{Ordering, StartFrom};

#[test]
fn later_layers_win_key_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    file(
        "default.toml",
        "[worker]\nconcurrency = 1\nordering = \"none\"\nmax_in_flight = 7\n[dedupe]\nttl = \"3d\"\n",
    );
    file("prod.toml", "worker.concurrency = 2\nworker.max_in_flight = 8\ntopics.names.\"a.b\" = \"file\"\n");
    let flags = Flags {
        config: Some(folder.path().to_owned()),
        profile: Some("prod".into()),
        topics: vec!["a.b=flag".into()],
    };
    let environment = [("ONCEWISE__WORKER__CONCURRENCY", "3"), ("ONCEWISE__TOPICS__NAMES__A__B", "env")];
    let settings = load_from(flags, &environment, &tempfile::tempdir().unwrap()).unwrap().settings;
    assert_eq!(settings.worker.concurrency, 3);
    assert_eq!(settings.worker.max_in_flight, 8);
    assert_eq!(settings.worker.ordering, Ordering::None);
    assert_eq!(settings.dedupe.ttl, Some(Duration::from_secs(3 * 86_400)));
    assert_eq!(settings.topics.physical("a.b"), "flag");
    assert_eq!(settings.topics.physical("other"), "other");
}

#[test]
fn the_environment_reaches_every_kind_of_key() {
    let settings = load_text(
        "",
        &[
            ("ONCEWISE__KAFKA__BROKERS", "a:1, b:2"),
            ("ONCEWISE__KAFKA__ALLOW_PLAINTEXT", "true"),
            ("ONCEWISE__KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "6000"),
            ("ONCEWISE__WORKER__START_FROM", "2026-01-31T08:00:00Z"),
            ("ONCEWISE__WORKER__MAX_IN_FLIGHT_BYTES", "1MiB"),
            ("ONCEWISE__TOPICS__CREATE", "false"),
            ("ONCEWISE__HTTP__LISTEN", "off"),
            ("ONCEWISE__SERVICES__PAYMENTS__HANDLERS__CHARGE__RETRY__MAX_ATTEMPTS", "9"),
            ("ONCEWISE_WORKER__CONCURRENCY", "someone else's"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap()
    .settings;
    assert_eq!(settings.kafka.brokers, "a:1,b:2");
    assert_eq!(settings.kafka.properties["session.timeout.ms"].reveal(), "6000");
    assert_eq!(settings.worker.start_from, StartFrom::Time("2026-01-31T08:00:00Z".parse().unwrap()));
    assert_eq!(settings.worker.max_in_flight_bytes, 1 << 20);
    assert!(!settings.topics.create);
    assert_eq!(settings.http.listen, None);
    assert_eq!(settings.handler("payments", "charge").retry.max_attempts, Some(9));
}

#[test]
fn a_list_and_a_date_of_toml_are_taken_as_they_are() {
    let text = "kafka.brokers = [\"a:1\", \"b:2\"]\nkafka.allow_plaintext = true\nworker.start_from = 2026-01-31T08:00:00Z\n\
                [kafka.properties]\nfetch.min.bytes = 5\n\"check.crcs\" = true\n";
    let settings = load_text(text, &[]).unwrap().settings;
    assert_eq!(settings.kafka.brokers, "a:1,b:2");
    assert_eq!(settings.worker.start_from.to_string(), "2026-01-31T08:00:00Z");
    assert_eq!(settings.kafka.properties["fetch.min.bytes"].reveal(), "5");
    assert_eq!(settings.kafka.properties["check.crcs"].reveal(), "true");
}

#[test]
fn a_folder_or_profile_must_exist_once_it_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |flags: Flags| load_from(flags, &[], &folder).unwrap_err().0.remove(0).to_string();
    let gone = Flags { config: Some(PathBuf::from("/no/such")), ..Flags::default() };
    assert_eq!(refused(gone), "--config = \"/no/such\": there is no such folder");
    let profile = |name: &str| Flags { profile: Some(name.into()), ..Flags::default() };
    assert!(refused(profile("pord")).starts_with("--profile = \"pord\": there is no pord.toml in "));
    assert_eq!(refused(profile("../x")), "--profile = \"../x\": allowed are A-Z, a-z, 0-9, _ and -");
    let topic = Flags { topics: vec!["orders".into()], ..Flags::default() };
    assert_eq!(refused(topic), "--topic = \"orders\": allowed is LOGICAL=PHYSICAL");
    load_from(Flags::default(), &[], &TempDir::with_prefix("empty").unwrap()).unwrap();
}

#[test]
fn what_counts_is_shown_with_its_origin() {
    let environment = [
        ("ONCEWISE__KAFKA__PROPERTIES__SASL_PASSWORD", "hunter2"),
        ("ONCEWISE__REDIS__URL", "redis://u:hunter2@localhost:1"),
        ("ONCEWISE__SERVICES__PAYMENTS__GROUP", "pay"),
    ];
    let shown = load_text("\n[worker]\nconcurrency = 5\n", &environment).unwrap().settings.render();
    let line = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert!(line("worker.concurrency").starts_with("worker.concurrency = 5 # /"));
    assert!(line("worker.concurrency").ends_with("/default.toml:3"));
    assert_eq!(line("dedupe.ttl"), "dedupe.ttl = \"8d\" # default");
    assert_eq!(line("redis.url"), "redis.url = \"redis://***@localhost:1\" # ONCEWISE__REDIS__URL");
    assert_eq!(
        line("kafka.properties.sasl.password"),
        "kafka.properties.sasl.password = *** # ONCEWISE__KAFKA__PROPERTIES__SASL_PASSWORD"
    );
    assert_eq!(line("shop.opening_credit_cents"), "shop.opening_credit_cents = 1000000 # default");
    assert_eq!(shown.lines().filter(|line| line.starts_with("services.")).count(), 1);
}
