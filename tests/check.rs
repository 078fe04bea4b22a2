//! The report about Kafka, from a real broker.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use oncewise::{
    check::{self, Creation, Finding, Horizon, Reliance, State},
    kafka::{Ensured, KafkaClient, TopicAdmin, TopicInfo, TopicPlan},
};

const LOOK: Creation = Creation { create: false, replication_factor: None };
const CREATE: Creation = Creation { create: true, ..LOOK };

fn admin() -> TopicAdmin {
    let brokers = std::env::var("ONCEWISE_TEST_BROKERS")
        .expect("ONCEWISE_TEST_BROKERS: start the services with tests/run");
    TopicAdmin::new(&KafkaClient::new(brokers), Duration::from_secs(20)).expect("clients")
}

fn fresh() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos();
    format!("checked-{now}-{}", COUNT.fetch_add(1, Ordering::Relaxed))
}

fn reliance(topic: &str) -> Reliance {
    let horizon = Horizon {
        handler: "shop.charge".to_owned(),
        ttl: Duration::from_secs(8 * 24 * 3600),
        lease: Duration::from_secs(10),
        retry_budget: Duration::from_secs(900),
    };
    Reliance { group: "shop".to_owned(), topics: vec![topic.to_owned()], horizons: vec![horizon] }
}

fn of<'a>(findings: &'a [Finding], subject: &str) -> &'a Finding {
    findings
        .iter()
        .find(|finding| finding.subject == subject)
        .unwrap_or_else(|| panic!("{subject}: {findings:?}"))
}

#[tokio::test]
async fn a_missing_source_is_a_problem_and_is_not_created() {
    let (admin, topic) = (admin(), fresh());
    for _ in 0..2 {
        let findings = check::kafka(&admin, &[reliance(&topic)], CREATE).await;
        assert_eq!(of(&findings, "Kafka").state, State::Fine);
        assert_eq!(of(&findings, &format!("topic {topic}")).state, State::Problem);
        assert!(check::failed(&findings));
    }
}

#[tokio::test]
async fn looking_creates_nothing_and_creating_makes_it_fine() {
    let (admin, topic) = (admin(), fresh());
    let like = TopicInfo { name: String::new(), partitions: 2, replication_factor: 1, config: None };
    let source = TopicPlan::copy_of(&like, topic.clone(), None);
    assert_eq!(admin.ensure(&source, true).await.expect("created"), Ensured::Created);
    let (services, letters) = ([reliance(&topic)], format!("topic {topic}.shop.dlt"));
    for _ in 0..2 {
        let findings = check::kafka(&admin, &services, LOOK).await;
        assert_eq!(of(&findings, &letters).state, State::Problem);
    }
    for expected in ["created, 2 partitions, 1 copy", "keeps everything"] {
        let findings = check::kafka(&admin, &services, CREATE).await;
        assert_eq!(
            (of(&findings, &letters).state, of(&findings, &letters).found.as_str()),
            (State::Fine, expected)
        );
        assert!(!check::failed(&findings), "{findings:?}");
        // This source keeps its records for ever, which no memory outlives.
        assert_eq!(of(&findings, "memory of shop.charge").state, State::Warning);
    }
}

#[tokio::test]
async fn without_a_broker_there_is_one_finding() {
    let nobody = KafkaClient::new("nowhere.invalid:9092");
    let admin = TopicAdmin::new(&nobody, Duration::from_secs(1)).expect("clients");
    let findings = check::kafka(&admin, &[reliance("orders")], LOOK).await;
    assert_eq!(findings.len(), 1, "{findings:?}");
    println!("{}", check::render(&findings, None));
    assert!(check::failed(&findings));
}
