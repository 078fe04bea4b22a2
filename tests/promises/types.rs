//! More than one type of event on a topic, CloudEvents in both modes, and tombstones.

use std::{collections::BTreeMap, path::Path};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{ReadRecord, Record, TestTopic},
        pod::Pods,
    },
};

/// What became of records.
struct Settled {
    pods: Pods,
    letters: Vec<ReadRecord>,
    /// `handler outcome` and how many, without zeros.
    counted: BTreeMap<String, usize>,
}

/// A topic of one partition with these records, each settled by a pod whose routes are of this kind.
async fn settled(kind: &str, folder: &Path, records: &[Record]) -> Settled {
    let topic = TestTopic::new(1).await;
    let port = free_ports(1);
    let pods = Pods::of(&format!("{}={kind}", topic.name()), folder)
        .with("HTTP__LISTEN", &format!("127.0.0.1:{port}"));
    let _pod = pods.start(TEST_WORKER);
    topic.produce_all(records.iter().cloned()).await;
    pods.until_committed(&topic, 0, i64::try_from(records.len()).unwrap()).await;
    let mut letters = pods.letters(&topic).read().await;
    letters.sort_by_key(offset);
    let (_, metrics) = http::get(port, "/metrics").await.unwrap();
    Settled { pods, letters, counted: counted(&metrics) }
}

fn counted(metrics: &str) -> BTreeMap<String, usize> {
    let samples = metrics.lines().filter_map(|line| line.strip_prefix("oncewise_records_total{"));
    let count = |sample: &str| {
        let label = |name| sample.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
        let count = sample.rsplit(' ').next().unwrap().parse().unwrap();
        (format!("{} {}", label("handler"), label("outcome")), count)
    };
    samples.map(count).filter(|(_, count)| *count > 0).collect()
}

fn counts(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect()
}

fn offset(letter: &ReadRecord) -> i64 {
    letter.header("oncewise-original-offset").unwrap().parse().unwrap()
}

/// `disposition handler attempts error` of each letter, by the offset of its record. Sees to it that the letter is the
/// record byte for byte.
fn verdicts(letters: &[ReadRecord], records: &[Record]) -> Vec<(i64, String)> {
    let of = |letter: &ReadRecord| {
        let record = &records[usize::try_from(offset(letter)).unwrap()];
        let theirs = letter.headers.iter().filter(|(name, _)| !name.starts_with(b"oncewise-")).cloned();
        assert_eq!(
            (&letter.key, &letter.value, theirs.collect::<Vec<_>>()),
            (&record.key, &record.value, record.headers.clone())
        );
        let header = |name: &str| letter.header(&format!("oncewise-{name}"));
        let said =
            ["disposition", "handler", "attempts", "error"].map(|name| header(name).unwrap_or("-".into()));
        (offset(letter), said.join(" "))
    };
    letters.iter().map(of).collect()
}

fn verdict(offset: i64, said: &str) -> (i64, String) {
    (offset, said.to_owned())
}

fn once(ids: &[&str]) -> BTreeMap<String, usize> {
    counts(&ids.iter().map(|id| (*id, 1)).collect::<Vec<_>>())
}

fn typed(header: &str, event_type: &str, value: &str) -> Record {
    Record::new("key", value).header(header, event_type)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_one_topic_reach_their_handlers_and_unknown_ones_are_dead_lettered() {
    let folder = tempfile::tempdir().unwrap();
    let records = [
        typed("ce_type", "thing.created", r#"{"id":"7"}"#),
        typed("ce_type", "thing.closed", r#"{"id":"7"}"#),
        typed("ce_type", "thing.created", r#"{"id":"7"}"#),
        typed("ce_type", "thing.painted", r#"{"id":"7","colour":"red"}"#).header("tenant", "north"),
        Record::new("key", r#"{"id":"8"}"#),
        Record::tombstone("key").header("ce_type", "thing.painted"),
        typed("ce_type", "thing.closed", r#"{"id":8}"#),
        Record::tombstone("key").header("ce_type", "thing.closed"),
        typed("ce_type", "thing.closed", r#"{"id":"9","reject":true}"#),
    ];
    let Settled { pods, letters, counted } = settled("types", folder.path(), &records).await;
    assert_eq!(pods.effects().counts(), once(&["create-7", "close-7"]));
    let expected = [
        ("create done", 1),
        ("create duplicate", 1),
        ("close done", 1),
        ("close dead_lettered", 2),
        ("close skipped", 1),
        ("- dead_lettered", 3),
    ];
    assert_eq!(counted, counts(&expected));
    let unknown =
        "no-handler - 0 the type in the header `ce_type` is none of `thing.closed`, `thing.created`";
    let shape = "JSON of another shape: a value of the wrong type or form at line 1 column 7";
    let expected = [
        verdict(3, unknown),
        verdict(4, "no-handler - 0 the record has no header `ce_type` to name its type"),
        verdict(5, unknown),
        verdict(6, &format!("undecodable close 0 {shape}")),
        verdict(8, "rejected close 1 rejected as ordered"),
    ];
    assert_eq!(verdicts(&letters, &records), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_types_are_skipped_where_their_topic_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let records = [
        typed("event-type", "thing.painted", "no JSON"),
        typed("event-type", "thing.created", r#"{"id":"7"}"#),
        typed("ce_type", "thing.created", r#"{"id":"8"}"#),
        typed("event-type", "thing.closed", "no JSON"),
    ];
    let Settled { pods, letters, counted } = settled("types-skip", folder.path(), &records).await;
    assert_eq!(pods.effects().counts(), once(&["create-7"]));
    assert_eq!(counted, counts(&[("- skipped", 2), ("create done", 1), ("close dead_lettered", 1)]));
    let undecodable = "undecodable close 0 not JSON: syntax error at line 1 column 2";
    assert_eq!(verdicts(&letters, &records), [verdict(3, undecodable)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_enum_takes_its_variants_from_the_header() {
    let folder = tempfile::tempdir().unwrap();
    let records = [
        typed("ce_type", "thing.created", r#"{"id":"7"}"#),
        typed("ce_type", "thing.closed", ""),
        typed("ce_type", "thing.painted", "{}"),
    ];
    let Settled { pods, letters, counted } = settled("enum", folder.path(), &records).await;
    assert_eq!(pods.effects().counts(), once(&["any-create-7", "any-close"]));
    assert_eq!(counted, counts(&[("any done", 2), ("any dead_lettered", 1)]));
    let unknown =
        "no-handler any 0 the type in the header `ce_type` is none of `thing.created`, `thing.closed`";
    assert_eq!(verdicts(&letters, &records), [verdict(2, unknown)]);
}

/// A CloudEvent of the type `made` in binary mode.
fn binary(id: &str, value: &str) -> Record {
    let headers = [("ce_specversion", "1.0"), ("ce_id", id), ("ce_source", "/things"), ("ce_type", "made")];
    headers.iter().fold(Record::new("key", value), |record, (name, value)| record.header(name, value))
}

/// The same in structured mode.
fn structured(id: &str, value: &str) -> Record {
    let attributes = format!(r#""specversion":"1.0","id":"{id}","source":"/things","type":"made""#);
    Record::new("key", format!(r#"{{"data":{value},{attributes}}}"#))
        .header("content-type", "application/cloudevents+json; charset=UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cloud_event_takes_effect_once_in_whichever_mode_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let thing = r#"{"id":"7"}"#;
    let records = [
        binary("1", thing),
        structured("1", thing),
        structured("2", thing),
        binary("2", thing),
        structured("3", r#"{"id":"9","reject":true}"#),
        Record::new("key", "[]").header("content-type", "application/cloudevents-batch+json"),
        Record::new("key", r#"{"id":"4"}"#).header("content-type", "application/cloudevents+json"),
        Record::new("key", thing),
    ];
    let Settled { pods, letters, counted } = settled("cloud-events", folder.path(), &records).await;
    assert_eq!(pods.effects().counts(), once(&["made-1-7", "made-2-7"]));
    assert_eq!(counted, counts(&[("named done", 2), ("named duplicate", 2), ("named dead_lettered", 4)]));
    let expected = [
        verdict(4, "rejected named 1 rejected as ordered"),
        verdict(5, "undecodable named 0 a batch of CloudEvents: send each as a record of its own"),
        verdict(6, "undecodable named 0 no structured CloudEvent: the attribute `source` is missing"),
        verdict(
            7,
            "no-key named 0 the dedupe key is empty: the record is no CloudEvent of version 1.0: look at its header `ce_id`",
        ),
    ];
    assert_eq!(verdicts(&letters, &records), expected);
    assert_eq!(letters[0].header("oncewise-dedupe-key").as_deref(), Some("7:/things:3"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tombstones_reach_the_handler_that_asks_for_them() {
    let folder = tempfile::tempdir().unwrap();
    let records = [
        Record::new("a", r#"{"id":"7"}"#),
        Record::tombstone("a"),
        Record::tombstone("b"),
        Record::new("c", "null"),
    ];
    let Settled { pods, letters, counted } = settled("changes", folder.path(), &records).await;
    assert_eq!(pods.effects().counts(), once(&["set-a-7", "deleted-a", "deleted-b"]));
    assert_eq!(counted, counts(&[("mirror done", 3), ("mirror dead_lettered", 1)]));
    let shape = "JSON of another shape: a value of the wrong type or form at line 1 column 4";
    assert_eq!(verdicts(&letters, &records), [verdict(3, &format!("undecodable mirror 0 {shape}"))]);
}
