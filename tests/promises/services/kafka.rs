//! Topics, records and groups.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::Offset;
use rdkafka::{ClientConfig, TopicPartitionList};

use crate::support::kafka::{PartitionLag, Record, TestTopic, brokers, brokers_sasl, committed, group_lag};
use crate::support::unique;
use crate::support::wait::until;

const DAY: Duration = Duration::from_secs(86_400);

fn eight_days_ago() -> i64 {
    let then = SystemTime::now() - 8 * DAY;
    then.duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

#[tokio::test]
async fn a_record_is_read_back_byte_for_byte() {
    let topic = TestTopic::with_config(3, &[("retention.ms", "-1")]).await;
    let place = topic
        .produce(
            Record::new(b"k\xff", b"\x00v")
                .to(1)
                .stamped(1_700_000_000_123)
                .header("a", "1")
                .header("a", "")
                .header(b"\xff", b"\x00")
                .null_header("b"),
        )
        .await;
    let tombstone = topic.produce(Record::tombstone("gone").to(2)).await;
    assert_eq!((place, tombstone), ((1, 0), (2, 0)));

    let records = topic.read().await;
    assert_eq!(records.len(), 2);
    let record = &records[0];
    assert_eq!((record.partition, record.offset, record.timestamp), (1, 0, Some(1_700_000_000_123)));
    assert_eq!((record.key.as_deref(), record.value.as_deref()), (Some(&b"k\xff"[..]), Some(&b"\x00v"[..])));
    let headers: [(&[u8], Option<&[u8]>); 4] =
        [(b"a", Some(b"1")), (b"a", Some(b"")), (b"\xff", Some(b"\x00")), (b"b", None)];
    let headers = headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)));
    assert_eq!(record.headers, headers);
    assert_eq!((records[1].key_text().as_str(), records[1].value.as_deref()), ("gone", None));
}

#[tokio::test]
async fn lag_is_what_kafkas_own_tool_says() {
    let (topic, group) = (TestTopic::new(2).await, unique("group"));
    topic.produce_all((0..5).map(|n| Record::new("k", n.to_string()).to(0))).await;
    assert_eq!(group_lag(&group).await, [], "a group nobody has heard of");

    let mut place = TopicPartitionList::new();
    place.add_partition_offset(topic.name(), 0, Offset::Offset(3)).unwrap();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers()).set("group.id", &group).create().unwrap();
    consumer.commit(&place, CommitMode::Sync).unwrap();

    let expected =
        PartitionLag { topic: topic.name().into(), partition: 0, committed: Some(3), end: 5, lag: Some(2) };
    assert_eq!(group_lag(&group).await, [expected]);
    let committed: Vec<_> = committed(&group, &topic).await.into_iter().collect();
    assert_eq!(committed, [(0, (3, String::new()))]);
}

#[tokio::test]
async fn old_records_stay_only_without_retention() {
    let (kept, lost) = (TestTopic::with_config(1, &[("retention.ms", "-1")]).await, TestTopic::new(1).await);
    for topic in [&kept, &lost] {
        topic.produce(Record::new("k", "v").stamped(eight_days_ago())).await;
    }
    until("the old record to go", Duration::from_secs(15), async || match lost.watermarks(0).await {
        (1, 1) => Ok(()),
        seen => Err(seen),
    })
    .await;
    assert_eq!(kept.read().await.len(), 1);

    // The same check that emptied the other topic empties this one once it is allowed to: it did look.
    kept.alter("retention.ms", "604800000").await;
    until("the kept record to go", Duration::from_secs(15), async || match kept.watermarks(0).await {
        (1, 1) => Ok(()),
        seen => Err(seen),
    })
    .await;
    assert_eq!(kept.read().await, []);
}

#[tokio::test]
async fn altering_one_setting_leaves_the_others() {
    let topic = TestTopic::with_config(1, &[("max.message.bytes", "100000")]).await;
    topic.alter("retention.ms", "-1").await;
    topic.produce(Record::new("k", vec![b'x'; 50_000])).await;
    let too_large = tokio::spawn({
        let topic = topic.clone();
        async move { topic.produce(Record::new("k", vec![b'x'; 200_000])).await }
    });
    assert!(too_large.await.is_err_and(|end| end.is_panic()), "max.message.bytes was forgotten");
    topic.alter("max.message.bytes", "2097152").await;
    topic.produce(Record::new("k", vec![b'x'; 2_000_000])).await;
    assert_eq!(topic.read().await.len(), 2);
}

#[tokio::test]
async fn a_deleted_topic_is_gone_and_may_come_back() {
    let topic = TestTopic::new(1).await;
    topic.produce(Record::new("k", "v")).await;
    topic.delete().await;
    assert!(topic.partitions().await.is_err());
    topic.create(2, &[]).await;
    assert_eq!(topic.read().await, []);
}

#[tokio::test]
async fn the_second_listener_wants_the_right_password() {
    let answer = |password: &str| {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers_sasl()).set("security.protocol", "SASL_PLAINTEXT");
        config.set("sasl.mechanism", "PLAIN").set("sasl.username", "worker").set("sasl.password", password);
        let consumer: BaseConsumer = config.create().unwrap();
        consumer.fetch_metadata(None, Duration::from_secs(3)).map(drop)
    };
    answer("right-password").unwrap();
    answer("wrong-password").unwrap_err();
}
