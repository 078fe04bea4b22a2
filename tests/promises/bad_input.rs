//! Whatever stands in a topic is settled one way or another, and its neighbours go on.

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

/// Room for records of 2 MB in the source; its letters' topic has 64 KiB more.
const LARGE: &[(&str, &str)] = &[("max.message.bytes", "3000000")];

/// These records in one partition, each between neighbours that can be handled. Waits until all are committed.
async fn settle(pods: &Pods, topic: &TestTopic, records: Vec<Record>) {
    let count = records.len();
    let with_neighbours = records.into_iter().enumerate().flat_map(|(n, record)| {
        let neighbour = Record::new(format!("n-{n}"), format!(r#"{{"id":"n-{n}"}}"#));
        // Of the record's own key, where it has one: what is wrong with a record must not hold its lane.
        let behind =
            Record { key: record.key.clone(), ..Record::new("", format!(r#"{{"id":"behind-{n}"}}"#)) };
        [neighbour, record, behind]
    });
    topic.produce_all(with_neighbours).await;
    pods.until_committed(topic, 0, i64::try_from(3 * count).unwrap()).await;
    let effects = pods.effects();
    for n in 0..count {
        for neighbour in [format!("n-{n}"), format!("behind-{n}")] {
            assert_eq!(effects.count(&neighbour), 1, "{neighbour}");
        }
    }
}

/// `disposition attempts error` of each letter, by the offset of its record.
fn verdicts(letters: &[ReadRecord]) -> Vec<(i64, String)> {
    let of = |letter: &ReadRecord| {
        let header = |name: &str| letter.header(&format!("oncewise-{name}")).unwrap();
        let said = ["disposition", "attempts", "error"].map(header).join(" ");
        (header("original-offset").parse().unwrap(), said)
    };
    let mut verdicts: Vec<_> = letters.iter().map(of).collect();
    verdicts.sort();
    verdicts
}

/// A text of so many bytes that no compression makes smaller than half.
fn noise(bytes: usize) -> String {
    (0..bytes).map(|_| char::from(rand::random_range(b'a'..=b'z'))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_is_dead_lettered_without_an_attempt_and_without_quoting_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let long = "k".repeat(1025);
    let records: Vec<Record> = [
        r#"{"id":""}"#,
        &format!(r#"{{"id":"{long}"}}"#),
        "4111-1111-1111-1111 is no JSON",
        r#"{"id":"card","fail":"4111-1111-1111-1111"}"#,
        r#"{"id":"card","4111-1111-1111-1111":1}"#,
        "\"4111-1111-1111-1111\"",
        "",
    ]
    .iter()
    .enumerate()
    .map(|(n, value)| Record::new(format!("key-{n}"), value))
    .collect();
    let values: Vec<_> = records.iter().map(|record| record.value.clone()).collect();
    let _pod = pods.start(TEST_WORKER);
    settle(&pods, &topic, records).await;

    let letters = pods.letters(&topic).read().await;
    let shape = "undecodable 0 JSON of another shape: a value of the wrong type or form at line 1 column";
    let expected = [
        "no-key 0 the dedupe key is empty",
        "no-key 0 the dedupe key has 1025 bytes; 1024 are allowed",
        &format!("{shape} 4"),
        &format!("{shape} 41"),
        &format!("{shape} 34"),
        &format!("{shape} 21"),
        "undecodable 0 not JSON: it ends too early at line 1 column 0",
    ];
    let expected: Vec<_> = (0..).zip(expected).map(|(n, text)| (3 * n + 1, text.to_owned())).collect();
    assert_eq!(verdicts(&letters), expected);
    assert!(letters.iter().all(|letter| letter.header("oncewise-dedupe-key").is_none()), "{letters:?}");
    for letter in &letters {
        let offset: usize = letter.header("oncewise-original-offset").unwrap().parse().unwrap();
        assert_eq!(letter.value, values[offset / 3]);
        let quotes = |value: &[u8]| value.windows(4).any(|bytes| bytes == b"4111");
        let quoting = letter.headers.iter().any(|(_, value)| value.as_deref().is_some_and(quotes));
        assert!(!quoting, "{letter:?}");
    }
    assert_eq!(pods.attempts().counts().len(), 14, "the neighbours, and nothing else");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tombstone_is_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let _pod = pods.start(TEST_WORKER);
    settle(&pods, &topic, vec![Record::tombstone("a"), Record::tombstone("b").keyless()]).await;
    assert_eq!(pods.attempts().all().len(), 4, "the neighbours, and nothing else");
    assert_eq!(pods.letters(&topic).read().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_and_odd_records_are_handled_and_their_letters_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, LARGE).await;
    let pods = Pods::of(topic.name(), folder.path());
    let large = noise(2_000_000);
    let event = |id: &str, reject: bool| format!(r#"{{"id":"{id}","reject":{reject}}}"#);
    let records: Vec<Record> = [false, true]
        .into_iter()
        .flat_map(|reject| {
            let value = |id: &str| event(&format!("{id}-{reject}"), reject);
            let headers = (0..10_000).map(|n: u32| (b"n".to_vec(), Some(n.to_be_bytes().to_vec())));
            [
                Record::new("large", value("large").replace('}', &format!(r#","fingerprint":"{large}"}}"#))),
                Record { headers: headers.collect(), ..Record::new("headers", value("headers")) },
                Record::new("names", value("names")).header(b"\xff\xfe", b"\x00").header(b"\xc3\x28", "x"),
                Record::new("", value("keyless")).keyless(),
                Record::new("", value("empty")),
            ]
        })
        .collect();
    let _pod = pods.start(TEST_WORKER);
    settle(&pods, &topic, records.clone()).await;

    for id in ["large", "headers", "names", "keyless", "empty"] {
        assert_eq!(pods.effects().count(&format!("{id}-false")), 1, "{id}");
        assert_eq!(pods.effects().count(&format!("{id}-true")), 0, "{id}");
    }
    let mut letters = pods.letters(&topic).read().await;
    letters.sort_by_key(|letter| letter.header("oncewise-original-offset").unwrap().parse::<i64>().unwrap());
    let rejected = &records[records.len() / 2..];
    assert_eq!(letters.len(), rejected.len());
    for (letter, record) in letters.iter().zip(rejected) {
        let theirs: Vec<_> =
            letter.headers.iter().filter(|(name, _)| !name.starts_with(b"oncewise-")).cloned().collect();
        let whole = letter.key == record.key && letter.value == record.value && theirs == record.headers;
        assert!(whole, "the letter about {:?} is not whole", letter.header("oncewise-dedupe-key"));
        assert_eq!(letter.header("oncewise-disposition").as_deref(), Some("rejected"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_too_large_for_its_topic_is_written_without_its_value() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let _pod = pods.start(TEST_WORKER);
    let letters = pods.letters(&topic);
    until("the topic of the letters", Duration::from_secs(60), async || letters.partitions().await).await;
    letters.alter("max.message.bytes", "70000").await;
    let large = noise(500_000);
    let headers = |record: Record| record.header("tenant", "north").header("oncewise-group", "forged");
    let records = vec![
        headers(Record::new(
            "rejected",
            format!(r#"{{"id":"rejected","reject":true,"fingerprint":"{large}"}}"#),
        )),
        // Never the start of a JSON word, so that the place of the error is known.
        headers(Record::new("undecodable", format!("!{large}"))),
        headers(Record::new("small", r#"{"id":"small","reject":true}"#)),
        Record { key: Some(large.clone().into_bytes()), ..Record::new("", r#"{"id":"key","reject":true}"#) },
    ];
    settle(&pods, &topic, records).await;

    let found = letters.read().await;
    assert_eq!(
        verdicts(&found),
        [
            (1, "too-large 1 rejected as ordered".to_owned()),
            (4, format!("too-large 0 {}", "not JSON: syntax error at line 1 column 1")),
            (7, "rejected 1 rejected as ordered".to_owned()),
            (10, "too-large 1 rejected as ordered".to_owned()),
        ]
    );
    for letter in &found {
        let header = |name: &str| letter.header(name);
        let small = header("oncewise-disposition").as_deref() == Some("rejected");
        assert_eq!((letter.value.is_some(), header("tenant").is_some()), (small, small), "{letter:?}");
        assert_eq!(header("oncewise-group").as_deref(), Some(pods.group.as_str()));
        assert_eq!(header("oncewise-original-topic").as_deref(), Some(topic.name()));
    }
    let keys: Vec<_> = found.iter().map(|letter| letter.key.as_ref().map(Vec::len)).collect();
    assert_eq!(
        keys.iter().filter(|key| key.is_none()).count(),
        1,
        "a key of that size has no place: {keys:?}"
    );
}
