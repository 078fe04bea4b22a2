//! What a worker says when it cannot begin: which key or server, where, and what to do; never a secret.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::{
    WORKER,
    support::{
        free_ports,
        kafka::{TestTopic, brokers, brokers_sasl},
        pod::Pods,
        redis::RedisServer,
        unique,
    },
};

/// Whatever is asked waits ten seconds at most; a busy machine may take threefold.
const DEADLINE: Duration = Duration::from_secs(45);
/// Must never be seen.
const CANARY: &str = "canary-4711";

/// A worker's last words.
struct End {
    code: Option<i32>,
    said: String,
}

impl End {
    /// Runs the worker to its end, which it must come to by itself.
    async fn of(pods: &Pods, args: &[&str]) -> End {
        let mut worker = pods.command(WORKER, args);
        let code = worker.wait(DEADLINE).await.code();
        let said = worker.output();
        assert!(!said.contains(CANARY), "a secret in: {said}");
        assert!(!said.contains("panicked"), "{said}");
        End { code, said }
    }

    #[track_caller]
    fn must_be(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for text in texts {
            assert!(self.said.contains(text), "{text:?} is missing in:\n{}", self.said);
        }
    }
}

/// Pods on a topic, with their database in `folder`.
fn pods(folder: &tempfile::TempDir, topic: &str) -> Pods {
    let url = format!("sqlite://{}", folder.path().join("shop.db").display());
    let pods = Pods::of(topic, folder.path()).with("DATABASE__URL", &url);
    ["ORDERS", "PAYMENTS", "NOTIFICATIONS"].into_iter().fold(pods, |pods, service| {
        let group = format!("{}_{service}", pods.group);
        pods.with(&format!("SERVICES__{service}__GROUP"), &group)
    })
}

/// Flags for `run` and `check` on this topic.
fn on<'a>(topic: &'a str, verb: &'a str) -> Vec<&'a str> {
    vec![verb, "--topic", topic]
}

/// What the shop's topics are called.
fn flags(orders: &TestTopic, settled: &TestTopic) -> [String; 2] {
    [format!("orders.created={}", orders.name()), format!("payments.settled={}", settled.name())]
}

/// `check` with these topics.
fn checked<'a>(args: &[&'a str], [orders, settled]: &'a [String; 2]) -> Vec<&'a str> {
    [&["check", "--topic", orders.as_str(), "--topic", settled.as_str()], args].concat()
}

#[tokio::test]
async fn a_wrong_command_line_is_a_usage_error_that_shows_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, "nowhere");
    End::of(&pods, &["run", "--servic", "orders"]).await.must_be(2, &["'--servic'", "'--service'"]);
    End::of(&pods, &["runn"]).await.must_be(2, &["'runn'", "'run'"]);
    End::of(&pods, &["run", "--service", "order", "--service", "payment"]).await.must_be(
        2,
        &[
            "--service order: there is no such service; there are orders, payments, notifications",
            "--service payment: there is no such service; there are orders, payments, notifications",
        ],
    );
    End::of(&pods, &["run", "--topic", "orders.created"]).await.must_be(2, &["--topic", "LOGICAL=PHYSICAL"]);
    End::of(&pods, &["run", "--profile", "prod"]).await.must_be(2, &["--profile", "there is no prod.toml"]);
    End::of(&pods, &["demo", "--orders", "0"]).await.must_be(2, &["'0'", "1..=10000"]);
    End::of(&pods, &["check", "--accept", "orders.created"])
        .await
        .must_be(2, &["--accept", "TOPIC:P=earliest|latest|N"]);
}

#[tokio::test]
async fn a_wrong_configuration_is_told_in_one_go() {
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, "nowhere")
        .with("DEDUPE__LEASE", "soon")
        .with("WORKER__CONCURENCY", "8")
        .with("WORKER__ORDERING", "keys")
        .with("SHOP__OPENING_CREDIT_CENTS", "-1")
        .with("DATABASE__URL", &format!("mysql://me:{CANARY}@db/shop"))
        .with("REDIS__URL", &format!("http://:{CANARY}@localhost"))
        .with("KAFKA__PROPERTIES__ENABLE_AUTO_COMMIT", "true");
    for verb in ["run", "check", "config", "demo"] {
        let end = End::of(&pods, &[verb]).await;
        end.must_be(
            2,
            &[
                "dedupe.lease",
                "\"soon\"",
                "ONCEWISE__DEDUPE__LEASE",
                "worker.concurency",
                "did you mean `worker.concurrency`?",
                "worker.ordering",
                "\"keys\"",
                "shop.opening_credit_cents",
                "database.url",
                "redis.url",
                "enable.auto.commit",
            ],
        );
    }
}

#[tokio::test]
async fn services_and_handlers_that_do_not_exist_are_told_with_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, "nowhere")
        .with("SERVICES__ORDER__GROUP", "shop")
        .with("SERVICES__PAYMENTS__HANDLERS__CHARGE__DEDUPE__LEASE", "5s");
    End::of(&pods, &["run", "--service", "x"])
        .await
        .must_be(2, &["services.order", "services.payments.handlers.charge", "--service x"]);
}

#[tokio::test]
async fn a_database_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, "nowhere").with("DATABASE__URL", "sqlite:///no/such/folder/shop.db");
    End::of(&pods, &["run"])
        .await
        .must_be(1, &["[database] url", "/no/such/folder/shop.db", "unable to open"]);

    let address = format!("127.0.0.1:{}", free_ports(1));
    let nobody = pods.clone().with("DATABASE__URL", &format!("postgres://me:{CANARY}@{address}/shop"));
    let place = format!("`postgres://***@{address}/shop`");
    End::of(&nobody, &["run"]).await.must_be(1, &["[database] url", &place, "Connection refused"]);

    let server = crate::database::server().replace("right-password", CANARY);
    let wrong = pods.with("DATABASE__URL", &server);
    End::of(&wrong, &["run"]).await.must_be(1, &["[database] url", "password authentication failed"]);
}

/// `run` refuses, and `check` has the same reason in its table.
async fn refuse(pods: &Pods, topic: &str, texts: &[&str]) {
    let topic = format!("orders.created={topic}");
    End::of(pods, &on(&topic, "run")).await.must_be(1, texts);
    let check = End::of(pods, &on(&topic, "check")).await;
    check.must_be(1, texts);
    assert!(
        check.said.lines().any(|line| line.starts_with("| PROBLEM |") && line.contains(texts[0])),
        "{}",
        check.said
    );
    assert!(check.said.contains("What to do:"), "{}", check.said);
    assert!(!check.said.contains("librdkafka"), "no log beside the table:\n{}", check.said);
}

#[tokio::test]
async fn a_wrong_redis_password_is_named_without_showing_it() {
    let (folder, topic, redis) =
        (tempfile::tempdir().unwrap(), TestTopic::new(1).await, RedisServer::start(false).await);
    redis.command::<String>(&["CONFIG", "SET", "requirepass", "right"]).await;
    let address = format!("127.0.0.1:{}", redis.port());
    let wrong = pods(&folder, topic.name()).with("REDIS__URL", &format!("redis://:{CANARY}@{address}/"));
    refuse(
        &wrong,
        topic.name(),
        &[
            "store",
            &address,
            "refused the user or password of redis.url",
            "check user, password and permissions in [redis] url",
        ],
    )
    .await;
    let none = pods(&folder, topic.name()).with("REDIS__URL", &format!("redis://{address}/"));
    refuse(
        &none,
        topic.name(),
        &["store", &address, "wants a password", "check user, password and permissions in [redis] url"],
    )
    .await;
}

#[tokio::test]
async fn a_redis_that_is_not_there_is_named() {
    let (folder, topic) = (tempfile::tempdir().unwrap(), TestTopic::new(1).await);
    let address = format!("127.0.0.1:{}", free_ports(1));
    let pods = pods(&folder, topic.name()).with("REDIS__URL", &format!("redis://:{CANARY}@{address}/"));
    refuse(
        &pods,
        topic.name(),
        &["store", &address, "check [redis] url, and whether this machine reaches it"],
    )
    .await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_ports(1));
    let pods = pods(&folder, "nowhere").with("KAFKA__BROKERS", &address);
    refuse(&pods, "nowhere", &["Kafka", &address, "Connection refused", "check [kafka] brokers"]).await;
}

#[tokio::test]
async fn a_wrong_login_at_kafka_is_named_without_showing_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, "nowhere")
        .with("KAFKA__BROKERS", &brokers_sasl())
        .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
        .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker");
    let wrong = pods.clone().with("KAFKA__PROPERTIES__SASL_PASSWORD", CANARY);
    refuse(
        &wrong,
        "nowhere",
        &["Kafka", &brokers_sasl(), "login", "check user, password and mechanism in [kafka.properties]"],
    )
    .await;
}

#[tokio::test]
async fn the_right_login_at_kafka_passes() {
    let [topic, settled] = [TestTopic::new(1).await, TestTopic::new(1).await];
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, topic.name())
        .with("KAFKA__BROKERS", &brokers_sasl())
        .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
        .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker")
        .with("KAFKA__PROPERTIES__SASL_PASSWORD", "right-password");
    let end = End::of(&pods, &checked(&["--create"], &flags(&topic, &settled))).await;
    end.must_be(0, &["fine", "created, 1 partition, 1 copy"]);
    assert!(!end.said.contains("right-password"), "{}", end.said);
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named_and_not_created() {
    let (folder, name) = (tempfile::tempdir().unwrap(), unique("nobody"));
    let pods = pods(&folder, &name);
    for _ in 0..2 {
        refuse(&pods, &name, &[&format!("topic {name}"), "does not exist", "create it"]).await;
    }
    assert!(TestTopic::named(&name).partitions().await.is_err());
}

#[tokio::test]
async fn check_creates_what_is_ours_only_when_it_is_told_to() {
    let [topic, settled] = [TestTopic::new(2).await, TestTopic::new(2).await];
    let folder = tempfile::tempdir().unwrap();
    let pods = pods(&folder, topic.name());
    let flags = flags(&topic, &settled);
    let letters = |topic: &TestTopic, service| {
        TestTopic::named(&format!("{}.{}_{service}.dlt", topic.name(), pods.group))
    };
    let letters = [
        letters(&topic, "ORDERS"),
        letters(&topic, "PAYMENTS"),
        letters(&topic, "NOTIFICATIONS"),
        letters(&settled, "NOTIFICATIONS"),
    ];
    let by_hand = pods.clone().with("TOPICS__CREATE", "false");
    End::of(&by_hand, &checked(&[], &flags)).await.must_be(1, &["4 problems", "worker check --create"]);
    let check = End::of(&pods, &checked(&[], &flags)).await;
    check.must_be(0, &["does not exist yet", "worker run creates it at its start"]);
    for topic in &letters {
        assert!(topic.partitions().await.is_err(), "looking has made {}", topic.name());
    }
    End::of(&pods, &checked(&["--create"], &flags)).await.must_be(0, &["created, 2 partitions, 1 copy"]);
    for topic in &letters {
        assert_eq!(topic.partitions().await, Ok(2), "{}", topic.name());
    }
    let again = End::of(&pods, &checked(&[], &flags)).await;
    let short = "memory of notifications.send_confirmation";
    again.must_be(0, &["keeps everything", short, "1day, but topic"]);
    assert!(!again.said.contains("PROBLEM"), "{}", again.said);
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, CANARY).unwrap();
    let pods = pods(&folder, "nowhere")
        .with("REDIS__URL", &format!("redis://worker:{CANARY}@localhost:6379/1"))
        .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker")
        .with("KAFKA__PROPERTIES__SASL_PASSWORD_FILE", secret.to_str().unwrap())
        .with("KAFKA__PROPERTIES__SSL_KEY_PASSWORD", CANARY);
    let end = End::of(&pods, &["config"]).await;
    end.must_be(0, &[]);
    let shown: BTreeMap<&str, &str> = end.said.lines().filter_map(|line| line.split_once(" = ")).collect();
    for (key, text) in [
        ("redis.url", "redis://***@localhost:6379/1"),
        ("kafka.properties.sasl.username", "***"),
        ("kafka.properties.sasl.password", "***"),
        ("kafka.properties.ssl.key.password", "***"),
        ("kafka.brokers", &brokers()),
    ] {
        assert!(
            shown.get(key).is_some_and(|shown| shown.contains(text)),
            "{key}: {:?}\n{}",
            shown.get(key),
            end.said
        );
    }
}
