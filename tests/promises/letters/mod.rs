//! Dead letters, as a person deals with them: counted by cause, sent again once, parked, discarded, edited.

mod at_once;
mod foreign;
mod groups;
mod redrive;
mod refused;

use std::time::Duration;

use serde_json::Value;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic},
        pod::Pods,
        process::Worker,
    },
};

pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];

/// A service, its letters and an audit topic of its own.
pub(super) struct Shop {
    pub(super) topic: TestTopic,
    pub(super) pods: Pods,
    audit: TestTopic,
    _folder: tempfile::TempDir,
}

impl Shop {
    pub(super) async fn new(partitions: i32) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::with_config(partitions, FOREVER).await;
        let audit = TestTopic::named(&format!("{}.audit", topic.name()));
        let pods = Pods::of(topic.name(), folder.path()).with("TOPICS__AUDIT", audit.name());
        Shop { topic, audit, pods, _folder: folder }
    }

    /// With letters that were written by hand, as a worker would have written them.
    pub(super) async fn with_letters(partitions: i32, letters: impl IntoIterator<Item = Record>) -> Shop {
        let shop = Shop::new(partitions).await;
        let topic = shop.letters();
        topic.create(partitions, FOREVER).await;
        let letters = letters.into_iter().map(|letter| {
            letter
                .header("oncewise-original-topic", shop.topic.name())
                .header("oncewise-group", &shop.pods.group)
        });
        topic.produce_all(letters.collect::<Vec<_>>()).await;
        shop
    }

    pub(super) fn letters(&self) -> TestTopic {
        self.pods.letters(&self.topic)
    }

    /// Another topic of the group, by its last word.
    pub(super) fn ours(&self, kind: &str) -> TestTopic {
        TestTopic::named(&format!("{}.{}.{kind}", self.topic.name(), self.pods.group))
    }

    /// What lies in a topic that may not be there.
    pub(super) async fn lies_in(&self, topic: &TestTopic) -> Vec<ReadRecord> {
        if topic.partitions().await.is_ok() { topic.read().await } else { Vec::new() }
    }

    pub(super) fn start(&self, pods: &Pods, args: &[&str]) -> Worker {
        pods.command(TEST_WORKER, &[&["dead-letters"], args, &["--json"]].concat())
    }

    /// The exit code of a verb, and what it printed.
    pub(super) async fn run(&self, args: &[&str]) -> (i32, Value) {
        let mut worker = self.start(&self.pods, args);
        let code = worker.wait(PATIENCE).await.code().unwrap();
        (code, json_of(&worker))
    }

    /// What it did in the only topic that it was about.
    pub(super) async fn done(&self, args: &[&str]) -> (i32, Value) {
        let (code, said) = self.run(args).await;
        assert!(said["topics"][0].is_object(), "{said}");
        (code, said["topics"][0].clone())
    }

    /// How many letters stand how: open, redriven, discarded, parked.
    pub(super) async fn status(&self) -> [u64; 4] {
        let (code, said) = self.run(&["status"]).await;
        assert_eq!(code, 0, "{said}");
        ["open", "redriven", "discarded", "parked"].map(|state| said["topics"][0][state].as_u64().unwrap())
    }

    pub(super) async fn audited(&self) -> Vec<Value> {
        let records = self.lies_in(&self.audit).await;
        records.iter().map(|record| serde_json::from_str(&record.value_text()).unwrap()).collect()
    }
}

pub(super) fn json_of(worker: &Worker) -> Value {
    let said = worker.output();
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    serde_json::from_str(line).unwrap()
}

/// A letter about the event `id` of this offset, as the worker writes them but for topic and group.
pub(super) fn letter(partition: i32, offset: i64, id: &str, error: &str) -> Record {
    let value = format!(r#"{{"id":"{id}"}}"#);
    Record::new(id, value)
        .to(partition)
        .stamped(1_700_000_000_000 + offset)
        .header("tenant", "north")
        .null_header("tenant")
        .header("oncewise-original-partition", partition.to_string())
        .header("oncewise-original-offset", offset.to_string())
        .header("oncewise-original-timestamp", (1_700_000_000_000 + offset).to_string())
        .header("oncewise-handler", "obey")
        .header("oncewise-dedupe-key", id)
        .header("oncewise-disposition", "exhausted")
        .header("oncewise-attempts", "5")
        .header("oncewise-first-failure-at", "2026-01-31T08:00:00Z")
        .header("oncewise-last-failure-at", "2026-01-31T08:00:00Z")
        .header("oncewise-error", error)
        .header("oncewise-error-chain", "")
        .header("oncewise-redrive-count", "0")
}

/// The letters' own keys, in order of places.
pub(super) fn keys(records: &[ReadRecord]) -> Vec<String> {
    let mut keys: Vec<String> = records.iter().map(ReadRecord::key_text).collect();
    keys.sort();
    keys
}
