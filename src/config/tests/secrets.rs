use super::*;
use crate::config::Property;

/// A folder with one file, and the file's path.
fn file_with(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    fs::write(&path, text).unwrap();
    let path = path.display().to_string();
    (folder, path)
}

#[test]
fn every_secret_may_stand_in_a_file() {
    let (_folder, path) = file_with("redis://u:hunter2@localhost\n");
    let (_other, password) = file_with("hunter2\r\n");
    let environment = [
        ("ONCEWISE__REDIS__URL_FILE", path.as_str()),
        ("ONCEWISE__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", password.as_str()),
        ("ONCEWISE__KAFKA__PROPERTIES__SASL_OAUTHBEARER_ASSERTION_FILE", "/plain"),
    ];
    // The plain URL of the earlier layer is a default that the environment replaces.
    let loaded = load_text("redis.url = \"redis://localhost\"\n", &environment).unwrap();
    let properties = &loaded.settings.kafka.properties;
    assert_eq!(loaded.settings.redis.url.reveal(), "redis://u:hunter2@localhost");
    assert_eq!(properties["sasl.password"], Property::Secret(Secret::new("hunter2")));
    assert_eq!(properties["sasl.oauthbearer.assertion.file"].reveal(), "/plain");
    assert!(loaded.settings.render().contains("redis.url = \"redis://***@localhost\""));
    assert!(!format!("{loaded:?}{}", loaded.settings.render()).contains("hunter2"));
}

#[test]
fn a_later_plain_value_replaces_an_earlier_file() {
    let environment = [("ONCEWISE__REDIS__URL", "redis://later.localhost")];
    let loaded = load_text("redis.url_file = \"/no/such\"\n", &environment).unwrap();
    assert_eq!(loaded.settings.redis.url.reveal(), "redis://later.localhost");
}

#[test]
fn a_secret_given_twice_or_unreadable_is_a_problem_without_the_secret() {
    let (_folder, empty) = file_with("\n");
    let text = "redis.url = \"redis://u:hunter2@r\"\nredis.url_file = \"/x\"\n\
                database.url_file = \"postgres://hunter2\"\n\
                [kafka.properties]\n\"sasl.password_file\" = \"/no/such\"\n\"ssl.key.pem\" = [\"hunter2\"]\n";
    let problems = problems_of(text, &[("ONCEWISE__KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE", &empty)]);
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert!(
        problems[0]
            .starts_with("kafka.properties.sasl.password_file = \"/no/such\" (default.toml:5): cannot")
    );
    assert!(problems[1].ends_with("(ONCEWISE__KAFKA__PROPERTIES__SSL_KEY_PASSWORD_FILE): the file is empty"));
    assert!(
        problems[2].starts_with("kafka.properties.ssl.key.pem = *** (default.toml:6): allowed is a text")
    );
    assert_eq!(
        problems[3],
        "redis.url = *** (default.toml:1): `redis.url_file` (default.toml:2) is given too; allowed is one of them"
    );
    assert!(problems[4].starts_with("database.url_file = *** (default.toml:3): cannot be read: "));
    assert!(!problems.concat().contains("hunter2"));
}

#[test]
fn the_properties_a_client_calls_sensitive_are_secret_and_others_are_not() {
    let names = [
        ("sasl.username", true),
        ("sasl.password", true),
        ("ssl.key.pem", true),
        ("ssl.key.location", true),
        ("ssl.ca.pem", true),
        ("sasl.oauthbearer.config", true),
        ("sasl.oauthbearer.assertion.private.key.pem", true),
        ("sasl.oauthbearer.assertion.private.key.file", true),
        ("some.future.password", true),
        ("session.timeout.ms", false),
        ("ssl.ca.location", false),
    ];
    for (name, secret) in names {
        let settings = load_text(&format!("[kafka.properties]\n\"{name}\" = \"x\""), &[]).unwrap().settings;
        assert_eq!(matches!(settings.kafka.properties[name], Property::Secret(_)), secret, "{name}");
    }
}

#[test]
fn properties_the_worker_depends_on_are_refused_with_the_reason() {
    let owned = [
        "enable.auto.commit",
        "enable.auto.offset.store",
        "group.id",
        "auto.offset.reset",
        "enable.idempotence",
        "acks",
        "bootstrap.servers",
        "client.id",
    ];
    for name in owned {
        let problems = problems_of(&format!("[kafka.properties]\n\"{name}\" = \"x\""), &[]);
        let start = format!("kafka.properties.{name} = \"x\" (default.toml:2): cannot be set: ");
        assert!(problems.len() == 1 && problems[0].starts_with(&start), "{problems:?}");
    }
}
