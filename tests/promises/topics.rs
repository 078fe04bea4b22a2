//! Looking at topics and creating ours, on a real broker.

use std::time::{Duration, Instant};

use oncewise::kafka::{Ensured, FaultKind, KafkaClient, TopicAdmin, TopicInfo, TopicPlan};

use crate::support::{
    free_ports,
    kafka::{TestTopic, brokers, brokers_sasl},
    unique,
};

const PATIENCE: Duration = Duration::from_secs(60);

fn login(user: &str, password: &str) -> KafkaClient {
    let mut client = KafkaClient::new(brokers_sasl());
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

fn here() -> TopicAdmin {
    admin(&KafkaClient::new(brokers()))
}

async fn source(admin: &TopicAdmin, partitions: i32) -> TopicInfo {
    let topic = TestTopic::with_config(partitions, &[("max.message.bytes", "2000000")]).await;
    admin.describe(topic.name()).await.expect("an answer").expect("there")
}

#[tokio::test]
async fn the_cluster_answers_with_its_id_and_brokers() {
    let admin = here();
    let cluster = admin.cluster().await.expect("an answer");
    assert!(cluster.id.as_ref().is_some_and(|id| !id.is_empty()), "{cluster:?}");
    assert_eq!(cluster.brokers.len(), 1);
    let retention = admin.offsets_retention(&cluster).await.expect("an answer");
    assert_eq!(retention, Some(Duration::from_secs(7 * 24 * 3600)));
}

#[tokio::test]
async fn a_missing_topic_is_not_made_by_looking_for_it() {
    let (admin, name) = (here(), unique("nobody"));
    assert_eq!(admin.describe(&name).await.expect("an answer"), None);
    assert_eq!(admin.describe(&name).await.expect("an answer"), None);
}

#[tokio::test]
async fn a_dead_letter_topic_is_made_to_keep_everything() {
    let admin = here();
    let source = source(&admin, 3).await;
    let plan = TopicPlan::dead_letter(&source, "shop", None);
    assert_eq!(admin.ensure(&plan, false).await.expect("an answer"), Ensured::Missing);
    assert_eq!(admin.ensure(&plan, true).await.expect("an answer"), Ensured::Created);
    assert_eq!(admin.ensure(&plan, true).await.expect("an answer"), Ensured::Found(vec![]));
    let letters = admin.describe(&plan.name).await.expect("an answer").expect("there");
    let config = letters.config.expect("settings");
    assert_eq!((letters.partitions, letters.replication_factor), (3, 1));
    assert_eq!((config.retention_ms, config.retention_bytes), (-1, -1));
    assert_eq!(config.max_message_bytes, 2_000_000 + 64 * 1024);
    assert_eq!(config.cleanup_policy, "delete");
}

#[tokio::test]
async fn a_smaller_topic_under_the_name_is_found_out() {
    let admin = here();
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
    let admin = here();
    let source = source(&admin, 1).await;
    let plan = TopicPlan::dead_letter(&source, "shop", Some(7));
    let fault = admin.ensure(&plan, true).await.expect_err("one broker cannot hold seven copies");
    assert_eq!(fault.kind, FaultKind::Misconfigured, "{fault}");
    assert!(fault.message.contains("kafka-topics.sh --create --topic test-"), "{fault}");
}

#[tokio::test]
async fn an_absent_broker_and_a_wrong_password_are_told_apart() {
    let nobody = KafkaClient::new(format!("127.0.0.1:{}", free_ports(1)));
    let patient = TopicAdmin::new(&nobody, Duration::from_secs(5)).expect("clients");
    let fault = patient.cluster().await.expect_err("nobody is there");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.message.contains("Connection refused"), "{fault}");

    let begun = Instant::now();
    let fault = admin(&login("worker", "wrong-password")).cluster().await.expect_err("a wrong password");
    assert_eq!(fault.kind, FaultKind::Refused, "{fault}");
    assert!(!fault.message.contains("wrong-password"), "{fault}");
    assert!(begun.elapsed() < PATIENCE / 2, "a refusal is not waited out");

    admin(&login("worker", "right-password")).cluster().await.expect("the right password");
}

#[tokio::test]
async fn a_listener_that_wants_a_login_is_told_from_an_absent_broker() {
    let anonymous = KafkaClient::new(brokers_sasl());
    let admin = TopicAdmin::new(&anonymous, Duration::from_secs(5)).expect("clients");
    let fault = admin.cluster().await.expect_err("a login is wanted");
    assert!(fault.message.contains("security.protocol"), "{fault}");
}

#[tokio::test]
async fn an_unknown_host_is_named() {
    let nowhere = KafkaClient::new("nowhere.invalid:9092");
    let admin = TopicAdmin::new(&nowhere, Duration::from_secs(5)).expect("clients");
    let fault = admin.describe("orders").await.expect_err("no such host");
    assert_eq!(fault.kind, FaultKind::Unreachable);
    assert!(fault.message.contains("resolve"), "{fault}");
}
