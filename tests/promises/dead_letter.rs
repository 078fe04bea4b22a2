//! What cannot be handled is in the dead-letter topic as it came, and says what became of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Header, ReadRecord, Record, TestTopic},
        pod::Pods,
        wait::until,
    },
};

const STAMPED: i64 = 1_700_000_000_123;
const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];
const REJECTED: &str = r#"{"id":"rejected","reject":true}"#;
const STUBBORN: &str = r#"{"id":"stubborn","fail":9}"#;

/// Headers that must arrive as they are: repeated, empty and null, names that are no text.
fn theirs() -> Vec<Header> {
    let headers: [(&[u8], Option<&[u8]>); 6] = [
        (b"tenant", Some(b"north")),
        (b"\xff\xfe", Some(b"\x00\xff")),
        (b"tenant", Some(b"")),
        (b"", Some(b"nameless")),
        (b"tenant", None),
        (b"Oncewise-attempts", Some(b"not ours: names are told apart by case")),
    ];
    headers.map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec))).to_vec()
}

fn record(value: &str) -> Record {
    let record = Record::new(b"k\xff\x00", value).to(2).stamped(STAMPED);
    let record = Record { headers: theirs(), ..record };
    record
        .header("oncewise-attempts", "9999")
        .header("oncewise-disposition", "forged")
        .null_header("oncewise-x")
}

fn time(letter: &ReadRecord, name: &str) -> Timestamp {
    letter.header(name).unwrap_or_else(|| panic!("{name}: {letter:?}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_is_the_record_byte_for_byte_and_every_header_of_ours() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(3, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path()).with("RETRY__MAX_ATTEMPTS", "2");
    // The first record of the partition is no letter, so that offsets of source and letters differ.
    topic.produce(Record::new("a", r#"{"id":"fine"}"#).to(2)).await;
    topic.produce_all([record(REJECTED), record(STUBBORN)]).await;
    let began = Timestamp::now();
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 2, 3).await;

    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 2);
    let about = [
        (REJECTED, "rejected", "rejected", "1", "rejected as ordered"),
        (STUBBORN, "stubborn", "exhausted", "2", "failed as ordered"),
    ];
    for ((offset, letter), (value, key, disposition, attempts, error)) in (0..).zip(&letters).zip(about) {
        let [first, last] = ["first", "last"]
            .map(|which| format!("oncewise-{which}-failure-at"))
            .map(|name| time(letter, &name));
        let began = Timestamp::from_millisecond(began.as_millisecond()).unwrap();
        assert!(began <= first && first <= last && last <= Timestamp::now(), "{letter:?}");
        let mut headers = theirs();
        let ours = [
            ("original-topic", topic.name()),
            ("original-partition", "2"),
            ("original-offset", &(offset + 1).to_string()),
            ("original-timestamp", &STAMPED.to_string()),
            ("group", &pods.group),
            ("handler", "obey"),
            ("dedupe-key", key),
            ("disposition", disposition),
            ("attempts", attempts),
            ("first-failure-at", &first.to_string()),
            ("last-failure-at", &last.to_string()),
            ("error", error),
            ("error-chain", ""),
            ("redrive-count", "0"),
        ];
        headers.extend(
            ours.map(|(name, value)| {
                (format!("oncewise-{name}").into_bytes(), Some(value.as_bytes().to_vec()))
            }),
        );
        let expected = ReadRecord {
            partition: 2,
            offset,
            key: Some(b"k\xff\x00".to_vec()),
            value: Some(value.as_bytes().to_vec()),
            headers,
            timestamp: Some(STAMPED),
        };
        assert_eq!(*letter, expected);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_outlives_the_age_at_which_kafka_deletes() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path());
    let then = SystemTime::now() - Duration::from_secs(8 * 86_400);
    let old = i64::try_from(then.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
    topic.produce(Record::new("a", REJECTED).stamped(old)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;

    // One check may have passed the letters before they came; the second has looked at them.
    let short_lived = TestTopic::new(1).await;
    for checks in 1..=2 {
        short_lived.produce(Record::new("a", "old").stamped(old)).await;
        let what = format!("Kafka's retention check number {checks}");
        until(&what, Duration::from_secs(60), async || match short_lived.watermarks(0).await {
            (first, end) if (first, end) == (checks, checks) => Ok(()),
            seen => Err(seen),
        })
        .await;
    }
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].timestamp, letters[0].value_text().as_str()), (Some(old), REJECTED));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_duplicate_of_a_dead_event_settles_without_an_attempt_or_a_letter() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(2).await;
    let pods = Pods::of(topic.name(), folder.path());
    let _pod = pods.start(TEST_WORKER);
    topic.produce(Record::new("a", REJECTED).to(0)).await;
    pods.until_committed(&topic, 0, 1).await;
    topic.produce_all([Record::new("a", REJECTED).to(0), Record::new("b", REJECTED).to(1)]).await;
    pods.until_committed(&topic, 0, 2).await;
    pods.until_committed(&topic, 1, 1).await;
    assert_eq!(pods.attempts().counts(), [("rejected".to_owned(), 1)].into());
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_whose_worker_died_after_its_letter_is_dead_lettered_again_and_never_lost() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path()).soon_missed();
    topic.produce(Record::new("a", REJECTED)).await;
    let mut killed = pods.clone().variable("ONCEWISE_CRASH", "after_dead_letter").start(TEST_WORKER);
    assert_eq!(killed.wait(Duration::from_secs(60)).await.code(), None);
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
    let _next = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    assert_eq!(pods.letters(&topic).read().await.len(), 2);
}
