use super::*;

fn header(name: &str, value: impl AsRef<[u8]>) -> Header {
    Header { name: name.to_owned().into(), value: Some(value.as_ref().to_vec().into()) }
}

fn ours() -> Vec<Header> {
    [
        ("tenant", "north"),
        ("kafka_dlt-exception-message", "of an upstream"),
        ("oncewise-original-topic", "orders"),
        ("oncewise-original-partition", "3"),
        ("oncewise-original-offset", "42"),
        ("oncewise-original-timestamp", "1700000000123"),
        ("oncewise-group", "payments"),
        ("oncewise-handler", "charge"),
        ("oncewise-dedupe-key", "order\n1"),
        ("oncewise-disposition", "exhausted"),
        ("oncewise-attempts", "5"),
        ("oncewise-first-failure-at", "2026-01-31T08:00:00Z"),
        ("oncewise-last-failure-at", "2026-01-31T09:00:00Z"),
        ("oncewise-error", "busy"),
        ("oncewise-error-chain", ""),
        ("oncewise-redrive-count", "2"),
        ("oncewise-hop", "3"),
        ("kafka_dlt-original-topic", "orders"),
    ]
    .map(|(name, value)| header(name, value))
    .to_vec()
}

#[test]
fn our_letters_are_read_as_they_were_written() {
    let (format, told) = Format::tell(&ours(), None);
    let time = |text: &str| Some(text.parse().unwrap());
    let some = |text: &str| Some(text.to_owned());
    let expected = Told {
        topic: some("orders"),
        partition: Some(3),
        offset: Some(42),
        timestamp: Some(1_700_000_000_123),
        group: some("payments"),
        handler: some("charge"),
        dedupe_key: some("order\n1"),
        disposition: some("exhausted"),
        attempts: Some(5),
        first_failure: time("2026-01-31T08:00:00Z"),
        last_failure: time("2026-01-31T09:00:00Z"),
        error: some("busy"),
        class: None,
        chain: None,
        redrives: 2,
        hop: 3,
    };
    assert_eq!((format, told), (Format::Oncewise, expected));
    let original = Format::Oncewise.original(&ours());
    assert_eq!(original, ours()[..2], "what stood before ours stays, and nothing else");
}

/// As `DeadLetterRecordManager` writes them: numbers in binary, big endian.
fn spring() -> Vec<Header> {
    vec![
        header("tenant", "north"),
        header(
            "kafka_dlt-exception-fqcn",
            "org.springframework.kafka.listener.ListenerExecutionFailedException",
        ),
        header("kafka_dlt-exception-cause-fqcn", "java.lang.IllegalStateException"),
        header("kafka_dlt-exception-message", "Listener failed; no wallet"),
        header("kafka_dlt-exception-stacktrace", "java.lang.IllegalStateException\n\tat shop.Charge"),
        header("kafka_dlt-original-topic", "orders"),
        header("kafka_dlt-original-partition", [0, 0, 0, 3]),
        header("kafka_dlt-original-offset", [0, 0, 0, 0, 0, 0, 1, 2]),
        header("kafka_dlt-original-timestamp", [0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]),
        header("kafka_dlt-original-timestamp-type", "CreateTime"),
        header("kafka_dlt-original-consumer-group", "payments"),
    ]
}

#[test]
fn springs_letters_are_read_with_their_binary_numbers() {
    let (format, told) = Format::tell(&spring(), None);
    assert_eq!(format, Format::Spring);
    assert_eq!((told.topic.as_deref(), told.partition, told.offset), (Some("orders"), Some(3), Some(258)));
    assert_eq!((told.timestamp, told.group.as_deref()), (Some(1_700_000_000_123), Some("payments")));
    assert_eq!(told.error.as_deref(), Some("Listener failed; no wallet"));
    assert_eq!(told.class.as_deref(), Some("java.lang.IllegalStateException"));
    assert_eq!(told.chain.as_deref(), Some("java.lang.IllegalStateException at shop.Charge"));
    assert_eq!(Format::Spring.original(&spring()), spring()[..1]);
}

#[test]
fn springs_retry_topics_keep_the_first_origin_the_last_error_and_big_integers() {
    let headers = [
        header("kafka_original-topic", "orders"),
        header("kafka_original-partition", [0, 0, 0, 0]),
        header("kafka_original-offset", [0, 0, 0, 0, 0, 0, 0, 7]),
        header("kafka_exception-message", "the first"),
        header("retry_topic-attempts", [0, 0, 0, 4]),
        header("retry_topic-original-timestamp", [1, 0x8b, 0xcf, 0xe5, 0x68, 0x7b]),
        header("retry_topic-backoff-timestamp", [1, 0x8b, 0xcf, 0xe5, 0x68, 0x7c]),
        header("kafka_original-topic", "orders-retry-0"),
        header("kafka_exception-message", "the last"),
        header("kafka_receivedTopic", "a header of somebody else"),
    ];
    let (format, told) = Format::tell(&headers, None);
    assert_eq!((format, told.topic.as_deref(), told.offset), (Format::Spring, Some("orders"), Some(7)));
    assert_eq!((told.attempts, told.timestamp), (Some(4), Some(1_700_000_000_123)));
    assert_eq!(told.error.as_deref(), Some("the last"));
    assert_eq!(Format::Spring.original(&headers), headers[9..]);
}

#[test]
fn letters_of_connect_and_streams_are_read() {
    for (prefix, class, message, stack, format) in [
        (
            "__connect.errors.",
            "exception.class.name",
            "exception.message",
            "exception.stacktrace",
            Format::Connect,
        ),
        ("__streams.errors.", "exception", "message", "stacktrace", Format::Streams),
    ] {
        let of = |name: &str, value: &str| header(&format!("{prefix}{name}"), value);
        let headers = [
            header("tenant", "north"),
            of("topic", "orders"),
            of("partition", "3"),
            of("offset", "42"),
            of(class, "DataException"),
            of(message, "no such field"),
            of(stack, "at x\n\tat y"),
        ];
        let (found, told) = Format::tell(&headers, None);
        assert_eq!((found, told.topic.as_deref()), (format, Some("orders")));
        assert_eq!((told.partition, told.offset), (Some(3), Some(42)));
        assert_eq!(
            (told.class.as_deref(), told.error.as_deref()),
            (Some("DataException"), Some("no such field"))
        );
        assert_eq!(told.chain.as_deref(), Some("at x at y"));
        assert_eq!(format.original(&headers), headers[..1]);
    }
}

#[test]
fn of_smallryes_headers_the_first_count_because_the_new_ones_stand_in_front() {
    let headers = [
        header("dead-letter-reason", "second failure"),
        header("dead-letter-topic", "orders"),
        header("dead-letter-partition", "3"),
        header("dead-letter-offset", "42"),
        header("dead-letter-exception-class-name", "java.io.IOException"),
        header("dead-letter-reason", "first failure"),
        header("dead-letter-offset", "7"),
        header("tenant", "north"),
    ];
    let (format, told) = Format::tell(&headers, None);
    assert_eq!(
        (format, told.offset, told.error.as_deref()),
        (Format::SmallRye, Some(42), Some("second failure"))
    );
    assert_eq!(Format::SmallRye.original(&headers), headers[7..]);
}

#[test]
fn watermills_letters_name_their_topic_and_no_place_in_it() {
    let headers = [
        header("reason_poisoned", "cannot charge"),
        header("topic_poisoned", "orders"),
        header("handler_poisoned", "charge"),
        header("subscriber_poisoned", "kafka.Subscriber"),
        header("_watermill_message_uuid", "stays"),
    ];
    let (format, told) = Format::tell(&headers, None);
    assert_eq!((format, told.topic.as_deref(), told.partition), (Format::Watermill, Some("orders"), None));
    assert_eq!(Format::Watermill.original(&headers), headers[4..]);
}

/// One header of each letter is changed in one way: what remains is no letter of a known kind, with what there is.
#[test]
fn a_near_miss_is_of_no_known_kind_and_keeps_what_is_there() {
    for (headers, name, values) in [
        (ours(), "oncewise-original-offset", vec![&b""[..], b"-1", b"4 2", b"\xff", b"99999999999999999999"]),
        (ours(), "oncewise-original-topic", vec![b"", b"a\nb", b"\xff"]),
        (spring(), "kafka_dlt-original-partition", vec![b"", b"3", b"\0\0\0\0\x03", b"\xff\xff\xff\xff"]),
        (spring(), "kafka_dlt-original-offset", vec![b"", b"\0\0\0\x03", b"\x80\0\0\0\0\0\0\0"]),
    ] {
        for value in values {
            let mut headers = headers.clone();
            headers
                .retain(|header| !header.name.starts_with(b"kafka_dlt-") || name.starts_with("kafka_dlt-"));
            let changed = headers.iter_mut().find(|header| header.name == name.as_bytes()).unwrap();
            changed.value = Some(value.to_vec().into());
            let (format, told) = Format::tell(&headers, None);
            assert_eq!(format, Format::Unknown, "{name} {value:?}");
            assert!(told.error.is_some(), "{name} {value:?}: {told:?}");
        }
    }
    assert_eq!(Format::tell(&[header("tenant", "north")], None), (Format::Unknown, Told::default()));
    assert_eq!(Format::tell(&spring(), Some(Format::Connect)), (Format::Unknown, Told::default()));
}

#[test]
fn errors_are_one_line_that_moves_no_cursor() {
    let mut headers = ours();
    headers.push(header("oncewise-error", b"\x1b[2Jred\r\n  \xff\ttext"));
    let (_, told) = Format::tell(&headers, None);
    assert_eq!(told.error.as_deref(), Some("[2Jred \u{fffd} text"));
    headers.push(header("oncewise-error", "é".repeat(9_000)));
    let (_, told) = Format::tell(&headers, None);
    assert!(told.error.is_some_and(|error| error.len() <= super::headers::LONGEST));
}
