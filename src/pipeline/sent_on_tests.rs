use super::*;

fn copy(headers: &[(&str, &'static str)]) -> Record {
    let mut record = crate::testing::record();
    record.headers = vec![Header::text("tenant", "a")];
    let ours = headers.iter();
    record.headers.extend(ours.map(|(name, text)| Header::text(format!("oncewise-{name}"), *text)));
    record
}

const WHOLE: [(&str, &str); 7] = [
    ("original-topic", "orders"),
    ("original-partition", "3"),
    ("original-offset", "42"),
    ("original-timestamp", "1000"),
    ("handler", "charge"),
    ("hop", "2"),
    ("redrive-count", "1"),
];

fn read(copy: &Record) -> Result<SentOn, String> {
    SentOn::read(copy, &"orders".into())
}

#[test]
fn a_copy_says_where_its_record_was_and_how_often_it_was_sent() {
    let copy = copy(&WHOLE);
    let sent = read(&copy).unwrap();
    assert_eq!((sent.hop, sent.redrives, sent.handler.as_deref()), (2, 1, Some("charge")));
    let original = sent.original(&copy);
    assert_eq!((&*original.topic, original.partition, original.offset), ("orders", 3, 42));
    assert_eq!((original.timestamp, original.headers.len()), (Some(1000), 1));
    assert_eq!((original.key, original.value), (copy.key, copy.value));
}

#[test]
fn a_copy_of_a_copy_goes_on_where_that_one_was() {
    let (source, first) = ("orders".into(), copy(&[("attempts", "forged")]));
    let again = Again {
        group: "payments",
        handler: "charge",
        dedupe_key: "evt-1",
        delay: Duration::from_secs(5_400),
        now_ms: 1_000,
        due_ms: 6_000,
        attempts: 2,
        first_failure_ms: Some(500),
        fingerprint: Some(7),
    };
    let once = super::copy(&first, &SentOn::first(&first, &source), &again);
    assert_eq!((once.topic.as_str(), once.timestamp), ("orders.payments.retry.1h30m", Some(1_000)));
    assert_eq!(once.partition, Some(first.partition));
    let record = Record { headers: once.headers, timestamp: once.timestamp, ..first.clone() };
    let sent = SentOn::read_later(&record, &source).unwrap();
    assert_eq!((sent.hop, sent.attempts, sent.first_failure_ms, sent.due_ms), (1, 2, Some(500), Some(6_000)));
    assert_eq!(
        (sent.fingerprint, record.header("oncewise-fingerprint")),
        (Some(7), Some(&b"0000000000000007"[..]))
    );
    let original = Record { topic: source.clone(), headers: vec![Header::text("tenant", "a")], ..first };
    assert_eq!(sent.original(&record), original);
    // Who sends it back lets it begin anew, and at once, and its content may have been mended.
    let back = read(&record).unwrap();
    assert_eq!((back.hop, back.attempts, back.first_failure_ms, back.due_ms), (1, 0, None, None));
    assert_eq!(back.fingerprint, None);
    let twice = super::copy(&record, &sent, &again);
    let record = Record { headers: twice.headers, ..record };
    assert_eq!(SentOn::read_later(&record, &source).unwrap().hop, 2);
}

#[test]
fn topics_of_copies_are_told_from_others() {
    let is = |topic| is_of_copies(topic, "orders", "payments");
    for ours in ["orders.payments.redrive", "orders.payments.retry.1m", "orders.payments.retry.1h30m"] {
        assert!(is(ours), "{ours}");
    }
    assert_eq!(
        source_and_delay("orders.payments.retry.1h30m", "payments"),
        Some(("orders", Duration::from_secs(5_400)))
    );
    assert_eq!(source_and_delay("orders.payments.retry.1m", "refunds"), None);
    for other in [
        "orders",
        ".payments.retry.1m",
        "orders.payments.retry.0s",
        "orders.payments.dlt",
        "orders.other.redrive",
        "orders.payments.retry.x",
    ] {
        assert!(!is(other), "{other}");
    }
}

#[test]
fn what_is_no_copy_is_told_and_never_quoted() {
    for missing in ["original-topic", "original-partition", "original-offset", "hop"] {
        let others: Vec<_> = WHOLE.into_iter().filter(|(name, _)| *name != missing).collect();
        let why = read(&copy(&others)).unwrap_err();
        assert!(why.contains(&format!("oncewise-{missing} is missing")), "{why}");
    }
    for (name, text) in [
        ("hop", "0"),
        ("original-topic", "others"),
        ("hop", "-1"),
        ("original-offset", "x4111"),
        ("redrive-count", ""),
    ] {
        let why = read(&copy(&[&WHOLE[..], &[(name, text)]].concat())).unwrap_err();
        assert!(why.contains(&format!("oncewise-{name} is")) && !why.contains("4111"), "{why}");
    }
}

#[test]
fn of_what_is_no_copy_as_much_is_known_as_it_says() {
    let sent = SentOn::guess(&copy(&[("original-offset", "42"), ("redrive-count", "x")]), &"orders".into());
    assert_eq!((&*sent.topic, sent.offset, sent.hop, sent.redrives), ("orders", 42, 0, 0));
    assert_eq!(SentOn::guess(&copy(&[]), &"orders".into()).offset, -1);
}
