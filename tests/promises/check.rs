//! The report about Kafka, from a real broker.

use std::time::Duration;

use oncewise::{
    check::{self, Creation, Finding, Horizon, Reliance, State},
    kafka::KafkaClient,
};

use crate::support::{
    kafka::{TestTopic, brokers},
    unique,
};

const LOOK: Creation = Creation { create: false, by_workers: false, replication_factor: None };
const CREATE: Creation = Creation { create: true, ..LOOK };

async fn checked(brokers: impl Into<String>, topic: &str, creation: Creation) -> Vec<Finding> {
    check::kafka(&KafkaClient::new(brokers), Duration::from_secs(20), &[reliance(topic)], creation).await
}

fn reliance(topic: &str) -> Reliance {
    let horizon = Horizon {
        handler: "shop.charge".to_owned(),
        ttl: Duration::from_secs(8 * 24 * 3600),
        lease: Duration::from_secs(10),
        retry_budget: Duration::from_secs(900),
    };
    Reliance {
        later: Default::default(),
        group: "shop".to_owned(),
        topics: vec![topic.to_owned()],
        publishes: vec![],
        ledger: None,
        horizons: vec![horizon],
    }
}

fn of<'a>(findings: &'a [Finding], subject: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.subject == subject)
        .unwrap_or_else(|| panic!("{subject}: {findings:?}"))
}

#[tokio::test]
async fn a_missing_source_is_a_problem_and_is_not_created() {
    let topic = unique("missing");
    for _ in 0..2 {
        let findings = checked(brokers(), &topic, CREATE).await;
        assert_eq!(of(&findings, "Kafka").state, State::Fine);
        assert_eq!(of(&findings, &format!("topic {topic}")).state, State::Problem);
        assert!(check::failed(&findings));
    }
}

#[tokio::test]
async fn looking_creates_nothing_and_creating_makes_it_fine() {
    let topic = TestTopic::with_config(2, &[("retention.ms", "604800000")]).await;
    let letters = format!("topic {}.shop.dlt", topic.name());
    for _ in 0..2 {
        let findings = checked(brokers(), topic.name(), LOOK).await;
        assert_eq!(of(&findings, &letters).state, State::Problem);
    }
    for expected in ["created, 2 partitions, 1 copy", "keeps everything"] {
        let findings = checked(brokers(), topic.name(), CREATE).await;
        assert_eq!(of(&findings, &letters).found, expected);
        assert_eq!(of(&findings, "memory of shop.charge").state, State::Fine);
        assert!(!check::failed(&findings), "{findings:?}");
    }
}

#[tokio::test]
async fn what_a_worker_creates_at_its_start_is_no_problem_before_it() {
    let topic = TestTopic::new(2).await;
    let letters = format!("topic {}.shop.dlt", topic.name());
    let findings = checked(brokers(), topic.name(), Creation { by_workers: true, ..LOOK }).await;
    let missing = of(&findings, &letters);
    assert_eq!((missing.state, &*missing.found), (State::Warning, "does not exist yet"));
    assert!(!check::failed(&findings), "{findings:?}");
}

#[tokio::test]
async fn a_memory_that_kafka_outlives_is_a_warning() {
    let topic = TestTopic::with_config(1, &[("retention.ms", "-1")]).await;
    let findings = checked(brokers(), topic.name(), LOOK).await;
    let memory = of(&findings, "memory of shop.charge");
    assert_eq!(memory.state, State::Warning);
    assert!(memory.found.ends_with("keeps records for ever"), "{memory:?}");
}

#[tokio::test]
async fn without_a_broker_there_is_one_finding() {
    let client = KafkaClient::new("nowhere.invalid:9092");
    let findings = check::kafka(&client, Duration::from_secs(1), &[reliance("orders")], LOOK).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(check::failed(&findings));
}

#[tokio::test]
async fn a_property_that_the_library_refuses_is_one_finding() {
    let mut client = KafkaClient::new(brokers());
    client.properties.insert("socket.timeout.ms".to_owned(), "soon".to_owned());
    let findings = check::kafka(&client, Duration::from_secs(1), &[], LOOK).await;
    assert!(findings.len() == 1 && findings[0].found.contains("socket.timeout.ms"), "{findings:?}");
}
