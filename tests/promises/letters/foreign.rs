//! Letters that others have written are read, and sent to the handlers of a service that consumes their topic.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::{FOREVER, PATIENCE, Shop};
use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        wait::until,
    },
};

/// One letter of each kind about the same record, byte for byte as its framework writes them.
fn letters(topic: &str) -> [(&'static str, Record); 5] {
    let record = || Record::new("k", r#"{"id":"a"}"#).stamped(1_700_000_000_123).header("tenant", "north");
    let connect = |record: Record, prefix: &str, message: &str| {
        record
            .header(format!("{prefix}topic"), topic)
            .header(format!("{prefix}partition"), "1")
            .header(format!("{prefix}offset"), "258")
            .header(format!("{prefix}{message}"), "no wallet")
    };
    [
        (
            "spring",
            record()
                .header(
                    "kafka_dlt-exception-fqcn",
                    "org.springframework.kafka.listener.ListenerExecutionFailedException",
                )
                .header("kafka_dlt-exception-message", "no wallet")
                .header("kafka_dlt-original-topic", topic)
                .header("kafka_dlt-original-partition", [0, 0, 0, 1])
                .header("kafka_dlt-original-offset", [0, 0, 0, 0, 0, 0, 1, 2])
                .header("kafka_dlt-original-timestamp", [0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b])
                .header("kafka_dlt-original-timestamp-type", "CreateTime")
                .header("kafka_dlt-original-consumer-group", "old-payments"),
        ),
        ("connect", connect(record(), "__connect.errors.", "exception.message")),
        ("streams", connect(record(), "__streams.errors.", "message")),
        (
            "smallrye",
            Record::new("k", r#"{"id":"a"}"#)
                .stamped(1_700_000_000_123)
                .header("dead-letter-reason", "no wallet")
                .header("dead-letter-topic", topic)
                .header("dead-letter-partition", "1")
                .header("dead-letter-offset", "258")
                .header("dead-letter-offset", "7")
                .header("tenant", "north"),
        ),
        (
            "watermill",
            record()
                .header("reason_poisoned", "no wallet")
                .header("topic_poisoned", topic)
                .header("handler_poisoned", "charge")
                .header("subscriber_poisoned", "kafka.Subscriber"),
        ),
    ]
}

/// The letters that the program in `spring` had a real Spring Kafka write, byte for byte, but for the name of the topic that
/// they are about. `spring/record` makes them anew.
fn written_by_spring(topic: &str) -> Vec<Record> {
    let bytes = |text: &Value| text.as_str().map(|text| STANDARD.decode(text).unwrap());
    let read = |line| {
        let letter: Value = serde_json::from_str(line).unwrap();
        let headers = letter["headers"].as_array().unwrap().iter().map(|header| {
            let is_source =
                |value: &Vec<u8>| matches!(&value[..], b"orders" | b"orders.keyed" | b"orders.patient");
            let value = bytes(&header[1]).map(|value| if is_source(&value) { topic.into() } else { value });
            (header[0].as_str().unwrap().into(), value)
        });
        let partition = letter["partition"].as_i64().map(|partition| partition as i32);
        let (key, value, timestamp) =
            (bytes(&letter["key"]), bytes(&letter["value"]), letter["timestamp"].as_i64());
        Record { partition, key, value, headers: headers.collect(), timestamp }
    };
    include_str!("spring/letters.jsonl").lines().map(read).collect()
}

/// Thrown by a listener, by one of a retry topic, and by one that read dead letters; undecodable in value and key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_that_a_real_spring_kafka_has_written_take_effect_once() {
    let shop = Shop::new(2).await;
    let from = TestTopic::with_config(2, FOREVER).await;
    from.produce_all(written_by_spring(shop.topic.name())).await;
    let (_, listed) = shop.run(&["list", "--from-topic", from.name()]).await;
    let listed = listed["letters"].as_array().unwrap();
    for letter in listed {
        let about = (&letter["format"], &letter["topic"], &letter["group"]);
        assert_eq!(
            about,
            (&json!("spring"), &json!(shop.topic.name()), &json!("spring-payments")),
            "{letter}"
        );
        assert_eq!(letter["partition"], 1, "{letter}");
    }
    let (_, grouped) = shop.run(&["groups", "--from-topic", from.name()]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    let all = ["redrive", "--all", "--from-topic", from.name(), "--handler", "obey", "--yes"];
    let (code, done) = shop.done(&all).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(listed.len())), "{done}");
    for copy in shop.ours("redrive").read().await {
        let of_spring = |name: &[u8]| name.starts_with(b"kafka_") || name.starts_with(b"retry_topic-");
        let left = copy.headers.iter().find(|(name, _)| of_spring(name));
        assert_eq!(left, None, "nothing of the letter goes on");
        let tenants = copy.headers.iter().filter(|(name, _)| name == b"tenant");
        assert_eq!(
            tenants.map(|(_, value)| value.as_deref()).collect::<Vec<_>>(),
            [Some(&b"north"[..]), None]
        );
        assert_eq!(copy.timestamp, Some(1_700_000_000_123));
    }
    let expected = ["keyed", "patient", "thrown", "twice"].map(|id| (id.to_owned(), 1));
    until("each event to take effect", PATIENCE, async || match shop.pods.effects().counts() {
        counts if counts == expected.clone().into() => Ok(()),
        counts => Err(counts),
    })
    .await;
    until("letters of what cannot be decoded", PATIENCE, async || match shop.letters().read().await.len() {
        2 => Ok(()),
        other => Err(other),
    })
    .await;
    for letter in shop.letters().read().await {
        let said = ["original-topic", "original-partition", "original-offset", "disposition"]
            .map(|name| letter.header(&format!("oncewise-{name}")).unwrap());
        assert_eq!(said, [shop.topic.name(), "1", "3", "undecodable"]);
    }
    assert_eq!(shop.pods.effects().counts(), expected.into());
    assert!(grouped["groups"].as_array().unwrap().len() >= 4, "{grouped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_of_every_known_kind_are_told_apart_and_sent_as_the_record_was() {
    let shop = Shop::new(2).await;
    let from = TestTopic::with_config(1, FOREVER).await;
    let letters = letters(shop.topic.name());
    from.produce_all(letters.iter().map(|(_, letter)| letter.clone())).await;
    let (_, listed) = shop.run(&["list", "--from-topic", from.name()]).await;
    for (listed, (format, _)) in listed["letters"].as_array().unwrap().iter().zip(&letters) {
        assert_eq!((&listed["format"], &listed["error"]), (&json!(format), &json!("no wallet")), "{listed}");
        assert_eq!(listed["topic"], shop.topic.name());
        let place = if *format == "watermill" { json!(null) } else { json!(258) };
        assert_eq!(listed["offset"], place, "{listed}");
    }
    let (code, done) =
        shop.done(&["redrive", "--all", "--from-topic", from.name(), "--handler", "obey", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(5)), "{done}");
    let copies = shop.ours("redrive").read().await;
    assert_eq!(copies.len(), 5);
    for copy in &copies {
        let names: Vec<String> =
            copy.headers.iter().map(|(name, _)| String::from_utf8(name.clone()).unwrap()).collect();
        let theirs: Vec<&String> = names.iter().filter(|name| !name.starts_with("oncewise-")).collect();
        assert_eq!(theirs, ["tenant"], "nothing of the letter goes on");
        assert_eq!(copy.header("oncewise-original-topic").as_deref(), Some(shop.topic.name()));
        let (handler, hop) = (copy.header("oncewise-handler"), copy.header("oncewise-hop"));
        assert_eq!((handler.as_deref(), hop.as_deref()), (Some("obey"), Some("1")));
        assert_eq!((copy.timestamp, copy.value_text().as_str()), (Some(1_700_000_000_123), r#"{"id":"a"}"#));
    }
    let known =
        copies.iter().filter(|copy| copy.header("oncewise-original-offset").as_deref() == Some("258"));
    assert_eq!((known.count(), copies.iter().filter(|copy| copy.partition == 1).count()), (4, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_letter_goes_only_where_the_service_consumes() {
    let shop = Shop::new(1).await;
    let from = TestTopic::with_config(1, FOREVER).await;
    from.produce_all(letters("secrets").map(|(_, letter)| letter)).await;
    let all = ["redrive", "--all", "--from-topic", from.name(), "--yes"];
    let (code, done) = shop.done(&all).await;
    assert_eq!((code, &done["redriven"], &done["refused"][0]["count"]), (1, &json!(0), &json!(5)), "{done}");
    assert!(done["refused"][0]["reason"].as_str().unwrap().contains("the topic secrets"), "{done}");
    assert!(TestTopic::named(&format!("secrets.{}.redrive", shop.pods.group)).partitions().await.is_err());
    // A person may say where to.
    let to = [&all[..], &["--to", shop.topic.name(), "--max", "2"]].concat();
    let (code, done) = shop.done(&to).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(2)), "{done}");
    let (code, said) = shop.run(&[&all[..], &["--to", "secrets"]].concat()).await;
    assert_eq!(code, 2, "{said}");
}

/// What our letters say to Spring's consoles is what Spring's own would say, and it does not go on with the record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_request_our_letters_carry_springs_headers_and_copies_do_not() {
    let shop = Shop::new(1).await;
    let upstream = ("kafka_dlt-exception-message", "of an upstream");
    let event = Record::new("k", r#"{"id":"a","reject":true}"#).stamped(1_700_000_000_123);
    shop.topic.produce(event.header(upstream.0, upstream.1)).await;
    let pods = shop.pods.clone().with("DEAD_LETTER__SPRING_HEADERS", "true");
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&shop.topic, 0, 1).await;
    let letters = shop.letters().read().await;
    let last = |name: &str| {
        let found = letters[0].headers.iter().rev().find(|(header, _)| header == name.as_bytes());
        found.and_then(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(last("kafka_dlt-original-topic"), shop.topic.name().as_bytes());
    assert_eq!(last("kafka_dlt-original-partition"), [0; 4]);
    assert_eq!(last("kafka_dlt-original-offset"), [0; 8]);
    assert_eq!(last("kafka_dlt-original-timestamp"), 1_700_000_000_123_i64.to_be_bytes());
    assert_eq!(last("kafka_dlt-original-consumer-group"), pods.group.as_bytes());
    assert_eq!(last("kafka_dlt-exception-message"), b"rejected as ordered");
    let (_, listed) = shop.run(&["list", "--from-topic", shop.letters().name(), "--format", "spring"]).await;
    assert_eq!(listed["letters"][0]["format"], "spring", "{listed}");
    let (code, done) = shop.done(&["redrive", "--all", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    let copies = shop.ours("redrive").read().await;
    let springs: Vec<_> =
        copies[0].headers.iter().filter(|(name, _)| name.starts_with(b"kafka_dlt-")).collect();
    assert_eq!(springs.len(), 1, "the record's own, and no other: {springs:?}");
    assert_eq!(copies[0].header(upstream.0).as_deref(), Some(upstream.1));
}
