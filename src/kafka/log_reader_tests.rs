use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::{KafkaClient, LogReader, Read, Stretch};

const PATIENCE: Duration = Duration::from_secs(20);

/// A topic with ten records, of which a follower has five, and a reader that is sent to the follower.
fn read_from_a_follower(
    then: impl Fn(&MockCluster<'_, rdkafka::producer::DefaultProducerContext>),
) -> (Vec<i64>, bool) {
    let cluster = MockCluster::new(2).unwrap();
    cluster.create_topic("t", 1, 2).unwrap();
    cluster.partition_leader("t", 0, Some(1)).unwrap();
    let brokers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", &brokers).create().unwrap();
    for n in 0..10 {
        producer.send(BaseRecord::to("t").partition(0).key("k").payload(&format!("{n}"))).unwrap();
        producer.flush(PATIENCE).unwrap();
    }
    cluster.partition_follower("t", 0, 2).unwrap();
    cluster.follower_watermarks("t", 0, Some(0), Some(5)).unwrap();
    let mut client = KafkaClient { tells_topic_ids: false, ..KafkaClient::new(&brokers) };
    // The mock cluster tells no other end than that of the log.
    client.properties.insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
    client.properties.insert("client.rack".to_owned(), "b".to_owned());
    let topic: Arc<str> = "t".into();
    let mut reader = LogReader::open(&client, "g", &topic).unwrap();
    let (begin, end) = reader.log(0).unwrap();
    reader.begin(&[Stretch { partition: 0, begin, end, log_end: end }]).unwrap();
    let mut offsets = Vec::new();
    let began = Instant::now();
    let mut caught_up = false;
    while !reader.is_finished() {
        assert!(began.elapsed() < PATIENCE, "it has stopped after {offsets:?}");
        match reader.read(Duration::from_millis(100)) {
            Ok(Read::Record(record)) => offsets.push(record.offset),
            Ok(Read::Nothing) if !caught_up && offsets.len() >= 5 => {
                caught_up = true;
                then(&cluster);
            }
            _ => {}
        }
    }
    (offsets, caught_up)
}

#[test]
fn the_end_of_what_a_follower_has_is_not_the_end() {
    let all = read_from_a_follower(|cluster| {
        cluster.follower_watermarks("t", 0, Some(0), Some(10)).unwrap();
    });
    assert_eq!(all, ((0..10).collect::<Vec<i64>>(), true), "all of it, and from the follower");
}
