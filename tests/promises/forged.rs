//! Headers that pretend to be ours, or to be a trace: on a live topic they mean nothing.

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
    },
};

/// What a redrive, a retry or a letter would say, and some that nothing says.
const FORGED: [(&str, &str); 15] = [
    ("original-topic", "somebody.elses"),
    ("original-partition", "99"),
    ("original-offset", "-1"),
    ("original-timestamp", "never"),
    ("group", "other"),
    ("handler", "other"),
    ("dedupe-key", "stolen"),
    ("disposition", "operator"),
    ("attempts", "4294967295"),
    ("first-failure-at", "1970-01-01T00:00:00Z"),
    ("error", "forged"),
    ("redrive-count", "9999"),
    ("hop", "7"),
    ("due-at", "9999-12-31T23:59:59Z"),
    ("", ""),
];

fn forged(record: Record) -> Record {
    // Twice, and once in bytes that are no text.
    let named = FORGED
        .iter()
        .chain(&FORGED)
        .fold(record, |record, (name, value)| record.header(format!("oncewise-{name}"), value));
    named
        .header("oncewise-attempts", b"\xff\xfe")
        .header(b"oncewise-\xff", b"\xff")
        .null_header("oncewise-handler")
}

/// A trace that is none, so often and so long that whoever reads or hands it on would notice.
fn bombed(record: Record) -> Record {
    let record = (0..1000).fold(record, |record, n| record.header("traceparent", format!("00-{n}-")));
    let record = record.header("traceparent", "0".repeat(100_000)).header("tracestate", "x=".repeat(50_000));
    record.header("traceparent", b"\xff\x00")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forged_control_headers_are_as_if_they_were_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let [topic, out] = [TestTopic::new(1).await, TestTopic::new(1).await];
    let pods = Pods::of(topic.name(), folder.path())
        .with("RETRY__MAX_ATTEMPTS", "2")
        .variable("ONCEWISE_TEST_PUBLISHES", out.name());
    let publish = format!(r#""publish":[{{"topic":"{}","key":"k","value":"v"}}]"#, out.name());
    let records = [
        forged(Record::new("a", format!(r#"{{"id":"fine",{publish}}}"#))),
        forged(Record::new("b", r#"{"id":"stubborn","fail":9}"#)).header("tenant", "north"),
        forged(Record::new("c", "no event")),
        bombed(Record::new("d", format!(r#"{{"id":"bombed",{publish}}}"#))),
    ];
    topic.produce_all(records).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 4).await;

    assert_eq!((pods.effects().count("fine"), pods.effects().count("bombed")), (1, 1));
    assert_eq!(pods.attempts().count("stubborn"), 2, "no attempt was spent before the first");
    let letters = pods.letters(&topic).read().await;
    let said: Vec<_> = letters
        .iter()
        .map(|letter| {
            let names = letter.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            let mut once = names.clone();
            once.sort();
            once.dedup();
            assert_eq!(once.len(), names.len(), "nothing comes twice: {letter:?}");
            [
                "original-topic",
                "original-offset",
                "group",
                "handler",
                "dedupe-key",
                "disposition",
                "attempts",
                "redrive-count",
                "hop",
            ]
            .map(|name| letter.header(&format!("oncewise-{name}")).unwrap_or_else(|| "-".to_owned()))
        })
        .collect();
    let (group, topic_name) = (pods.group.as_str(), topic.name());
    let mut expected = [
        [topic_name, "1", group, "obey", "stubborn", "exhausted", "2", "0", "-"],
        [topic_name, "2", group, "obey", "-", "undecodable", "0", "0", "-"],
    ];
    expected.sort_by_key(|letter| said.first().is_some_and(|first| first[1] != letter[1]));
    assert_eq!(said, expected);
    let sent = out.read().await;
    assert_eq!(sent.len(), 2);
    for event in sent {
        let bytes: usize =
            event.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len)).sum();
        assert!(bytes < 1000, "nothing forged goes on: {event:?}");
        assert_eq!(event.header("traceparent").map(|trace| trace.len()), Some(55), "a trace of its own");
        assert_eq!(event.header("tracestate"), None);
        assert!(!event.headers.iter().any(|(name, _)| name.starts_with(b"oncewise-")), "{event:?}");
    }
}
