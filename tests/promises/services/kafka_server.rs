//! A broker that goes away and comes back.

use crate::support::kafka::{Record, TestTopic, answers};
use crate::support::kafka_server::KafkaServer;

#[tokio::test]
async fn a_broker_of_ones_own_comes_back_with_its_data() {
    let mut kafka = KafkaServer::start().await;
    let topic = TestTopic::at(&kafka.brokers(), "own");
    topic.create(1, &[]).await;
    topic.produce(Record::new("k", "v")).await;

    kafka.kill();
    answers(&kafka.brokers()).await.unwrap_err();
    kafka.start_again().await;
    assert_eq!(topic.read().await[0].value_text(), "v");
}
