//! Looking at topics and creating ours, on a real broker.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant, SystemTime},
};

use oncewise::kafka::{Ensured, FaultKind, KafkaClient, TopicAdmin, TopicInfo, TopicPlan};

const PATIENCE: Duration = Duration::from_secs(20);

fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: start the services with tests/run"))
}

fn client() -> KafkaClient {
    KafkaClient::new(address("ONCEWISE_TEST_BROKERS"))
}

fn login(user: &str, password: &str) -> KafkaClient {
    let mut client = KafkaClient::new(address("ONCEWISE_TEST_BROKERS_SASL"));
    for (key, value) in [
        ("security.protocol", "sasl_plaintext"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.username", user),
        ("sasl.password", password),
    ] {
        client.properties.insert(key.to_owned(), value.to_owned());
    }
    client
}

fn admin(client: &KafkaClient) -> TopicAdmin {
    TopicAdmin::new(client, PATIENCE).expect("clients")
}

/// A name no other test and no earlier run has.
fn fresh(name: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    format!("{name}-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a source topic, by the plan for a topic of ours.
async fn source(admin: &TopicAdmin, partitions: i32) -> TopicInfo {
    let like = TopicInfo { name: String::new(), partitions, replication_factor: 1, config: None };
    let plan = TopicPlan::copy_of(&like, fresh("orders"), None);
    assert_eq!(admin.ensure(&plan, true).await.expect("created"), Ensured::Created);
    admin.describe(&plan.name).await.expect("described").expect("there")
}

#[tokio::test]
async fn the_cluster_answers_with_its_id_and_brokers() {
    let admin = admin(&client());
    let cluster = admin.cluster().await.expect("an answer");
    assert!(cluster.id.as_ref().is_some_and(|id| !id.is_empty()), "{cluster:?}");
    assert_eq!(cluster.brokers.len(), 1);
    let retention = admin.offsets_retention(&cluster).await.expect("an answer");
    assert_eq!(retention, Some(Duration::from_secs(7 * 24 * 3600)));
}

#[tokio::test]
async fn a_missing_topic_is_not_made_by_looking_for_it() {
    let (admin, name) = (admin(&client()), fresh("nobody"));
    assert_eq!(admin.describe(&name).await.expect("an answer"), None);
    assert_eq!(admin.describe(&name).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_dead_letter_topic_is_made_to_keep_everything() {
    let admin = admin(&client());
    let source = source(&admin, 3).await;
    let plan = TopicPlan::dead_letter(&source, "shop", None);
    assert_eq!(admin.ensure(&plan, false).await.expect("an answer"), Ensured::Missing);
    assert_eq!(admin.ensure(&plan, true).await.expect("an answer"), Ensured::Created);
    assert_eq!(admin.ensure(&plan, true).await.expect("an answer"), Ensured::Found(vec![]));
    let letters = admin.describe(&plan.name).await.expect("an answer").expect("there");
    let (limit, config) =
        (source.config.expect("settings").max_message_bytes, letters.config.expect("settings"));
    assert_eq!((letters.partitions, letters.replication_factor), (3, 1));
    assert_eq!((config.retention_ms, config.retention_bytes), (-1, -1));
    assert_eq!(config.max_message_bytes, limit + 64 * 1024);
    assert_eq!(config.cleanup_policy, "delete");
}

#[tokio::test]
async fn a_smaller_topic_under_the_name_is_found_out() {
    let admin = admin(&client());
    let source = source(&admin, 2).await;
    let plan = TopicPlan::dead_letter(&source, "shop", None);
    let mut narrow = plan.clone();
    (narrow.partitions, narrow.max_message_bytes) = (1, Some(1000));
    assert_eq!(admin.ensure(&narrow, true).await.expect("created"), Ensured::Created);
    let Ensured::Found(flaws) = admin.ensure(&plan, true).await.expect("an answer") else {
        panic!("it is there")
    };
    assert_eq!(flaws.len(), 2, "{flaws:?}");
}

#[tokio::test]
async fn a_refused_creation_says_why_and_who_can_help() {
    let admin = admin(&client());
    let source = source(&admin, 1).await;
    let plan = TopicPlan::dead_letter(&source, "shop", Some(7));
    let fault = admin.ensure(&plan, true).await.expect_err("one broker cannot hold seven copies");
    assert_eq!(fault.kind, FaultKind::Misconfigured, "{fault}");
    assert!(fault.message.contains("kafka-topics.sh --create --topic orders-"), "{fault}");
}

#[tokio::test]
async fn an_absent_broker_and_a_wrong_password_are_told_apart() {
    // A port that was free a moment ago.
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let nobody = KafkaClient::new(format!("127.0.0.1:{port}"));
    let admin = TopicAdmin::new(&nobody, Duration::from_secs(2)).expect("clients");
    let fault = admin.cluster().await.expect_err("nobody is there");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.message.contains("Connection refused"), "{fault}");

    let begun = Instant::now();
    let fault =
        self::admin(&login("worker", "wrong-password")).cluster().await.expect_err("a wrong password");
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(!fault.message.contains("wrong-password"), "{fault}");
    assert!(begun.elapsed() < PATIENCE / 2, "a refusal is not waited out");

    self::admin(&login("worker", "right-password")).cluster().await.expect("the right password");
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let nowhere = KafkaClient::new("nowhere.invalid:9092");
    let admin = TopicAdmin::new(&nowhere, Duration::from_secs(2)).expect("clients");
    let fault = admin.describe("orders").await.expect_err("no such host");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.message.contains("resolve"), "{fault}");
}
