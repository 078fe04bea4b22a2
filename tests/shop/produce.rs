//! `worker produce`: what it says it has sent is what is in the topic.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    WORKER,
    support::{
        kafka::{ReadRecord, TestTopic},
        pod::Pods,
        process::Worker,
        unique,
    },
};

const DEADLINE: Duration = Duration::from_secs(60);

/// The folder has to live as long as the worker.
fn start(folder: &TempDir, args: &[&str]) -> Worker {
    Pods::of("nowhere", folder.path()).command(WORKER, &[&["produce"], args].concat())
}

/// Runs it to its end: its exit code, and what it said.
async fn produce(args: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut worker = start(&folder, args);
    let code = worker.wait(DEADLINE).await.code();
    (code, worker.output())
}

/// The summary of a run that went well.
async fn summary(args: &[&str]) -> Value {
    let (code, said) = produce(&[args, &["--json"]].concat()).await;
    assert_eq!(code, Some(0), "{said}");
    json(&said)
}

fn json(said: &str) -> Value {
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    serde_json::from_str(line).unwrap()
}

/// An order's own id, when it is an order that has one.
fn event_id(record: &ReadRecord) -> Option<String> {
    let order: Value = serde_json::from_slice(record.value.as_ref()?).ok()?;
    let is_order = order.get("amount_cents").is_some();
    order["event_id"].as_str().filter(|id| is_order && !id.is_empty()).map(str::to_owned)
}

#[tokio::test]
async fn the_topic_holds_what_the_summary_counts_and_each_record_has_its_headers() {
    let topic = TestTopic::new(4).await;
    let recipe =
        ["--count", "3000", "--duplicates", "0.2", "--poison", "0.05", "--keys", "25", "--seed", "7"];
    let said = summary(&[&recipe[..], &["--topic", topic.name()]].concat()).await;
    let records = topic.read().await;
    let mut copies: BTreeMap<String, BTreeSet<Vec<u8>>> = BTreeMap::new();
    let (mut duplicates, mut poison) = (0, 0);
    for record in &records {
        match event_id(record) {
            None => {
                poison += 1;
                assert_eq!(record.header("ce_id"), None);
            }
            Some(id) => {
                assert_eq!(record.header("ce_id").as_ref(), Some(&id), "duplicates keep theirs");
                assert_eq!(record.header("ce_type").as_deref(), Some("orders.created"));
                assert_eq!(record.header("ce_specversion").as_deref(), Some("1.0"));
                let seen = copies.entry(id).or_default();
                duplicates += u64::from(!seen.is_empty());
                seen.insert(record.value.clone().unwrap());
            }
        }
    }
    assert!(copies.values().all(|values| values.len() == 1), "duplicates are byte for byte the same");
    let counted = ["requested", "records", "events", "duplicates", "poison"].map(|name| said[name].as_u64());
    let found = [3000, records.len() as u64, copies.len() as u64, duplicates, poison];
    assert_eq!(counted, found.map(Some), "{said}");
    assert!((450..750).contains(&duplicates) && (90..210).contains(&poison), "{said}");

    let keys: BTreeSet<String> = records.iter().map(ReadRecord::key_text).collect();
    assert_eq!(keys.len(), 25, "{keys:?}");
    let mut places: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for record in &records {
        places.entry(record.key_text()).or_default().insert(record.partition);
    }
    assert!(places.values().all(|partitions| partitions.len() == 1), "a key has one partition: {places:?}");
    let traces: BTreeSet<_> = records.iter().map(|record| record.header("traceparent").unwrap()).collect();
    assert_eq!(traces.len(), 3000, "each record begins a trace");
    assert!(traces.iter().all(|trace| trace.len() == 55 && trace.starts_with("00-")));

    let again = summary(&[&recipe[..], &["--topic", topic.name()]].concat()).await;
    assert_eq!(again["events"], said["events"]);
    let ids: BTreeSet<String> = topic.read().await.iter().filter_map(event_id).collect();
    assert_eq!(ids.len(), copies.len(), "a seed gives the same events");
    let other = summary(&["--count", "50", "--topic", topic.name()]).await;
    let ids: BTreeSet<String> = topic.read().await.iter().filter_map(event_id).collect();
    assert_eq!(
        ids.len() as u64,
        copies.len() as u64 + other["events"].as_u64().unwrap(),
        "others without one"
    );
}

#[tokio::test]
async fn a_rate_is_kept_without_bursts() {
    let topic = TestTopic::new(1).await;
    let said = summary(&["--count", "400", "--rate", "200/s", "--topic", topic.name()]).await;
    let seconds = said["seconds"].as_f64().unwrap();
    assert!((1.9..60.0).contains(&seconds), "{said}");
    let stamps: Vec<i64> = topic.read().await.iter().map(|record| record.timestamp.unwrap()).collect();
    let busiest =
        stamps.iter().map(|first| stamps.iter().filter(|at| (0..100).contains(&(**at - first))).count());
    assert!(busiest.max().unwrap() <= 30, "20 are due in any 100 ms: {stamps:?}");
}

#[tokio::test]
async fn it_goes_where_the_names_say() {
    let (mapped, named) = (TestTopic::new(1).await, TestTopic::new(1).await);
    let mapping = format!("orders.created={}", mapped.name());
    let counts = ["--count", "10", "--topic", &mapping];
    assert_eq!(summary(&counts).await["topic"], mapped.name());
    assert_eq!(mapped.read().await.len(), 10);
    let logical = [&counts[..], &["--topic", "orders.created"]].concat();
    assert_eq!(summary(&logical).await["topic"], mapped.name());
    let physical = [&counts[..], &["--topic", named.name()]].concat();
    assert_eq!(summary(&physical).await["topic"], named.name());
    assert_eq!((mapped.read().await.len(), named.read().await.len()), (20, 10));
}

#[tokio::test]
async fn a_missing_topic_is_named_with_the_command_that_makes_it() {
    let topic = unique("missing");
    let (code, said) = produce(&["--topic", &topic]).await;
    assert_eq!(code, Some(1), "{said}");
    let command = format!("--create --topic {topic} --partitions 6");
    assert!(said.contains(&format!("topic {topic} does not exist")) && said.contains(&command), "{said}");
    assert!(TestTopic::named(&topic).partitions().await.is_err(), "and is not made");
}

#[tokio::test]
async fn all_that_is_wrong_with_the_command_is_told_at_once() {
    let (code, said) =
        produce(&["--duplicates", "1.5", "--poison", "NaN", "--topic", "one", "--topic", "t w o"]).await;
    assert_eq!(code, Some(2), "{said}");
    for text in ["--duplicates 1.5", "--poison NaN", "one topic", "\"t w o\""] {
        assert!(said.contains(text), "{text:?} is missing in {said}");
    }
    for (args, text) in [
        (["--duplicates", "0.6", "--poison", "0.5"], "more than all"),
        (["--count", "0", "--rate", "1/s"], "--count"),
        (["--rate", "fast", "--keys", "1"], "such as 500/s"),
    ] {
        let (code, said) = produce(&args).await;
        assert_eq!((code, said.contains(text)), (Some(2), true), "{said}");
    }
}

#[tokio::test]
async fn an_interrupt_ends_it_with_what_was_acknowledged() {
    let topic = TestTopic::new(2).await;
    let folder = tempfile::tempdir().unwrap();
    let mut worker =
        start(&folder, &["--count", "1000000", "--rate", "100/s", "--topic", topic.name(), "--json"]);
    worker.says("records acknowledged", DEADLINE).await;
    let began = Instant::now();
    worker.signal(Signal::INT);
    assert_eq!(worker.wait(DEADLINE).await.code(), Some(0), "{}", worker.output());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    let said = json(&worker.output());
    assert_eq!(said["interrupted"], true, "{said}");
    assert_eq!(said["records"].as_u64(), Some(topic.read().await.len() as u64), "{said}");
}
