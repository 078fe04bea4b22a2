//! One fault at work: a topic, pods that leave evidence, what was sent and what was inflicted, and in the end the
//! checker's word.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;
use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    checker::{
        self, Report,
        inputs::{Effect, Fault, InKafka, Inflicted, Produced},
    },
    support::{
        kafka::{ReadRecord, Record, TestTopic, all_committed, committed},
        pod::Pods,
        process::Worker,
    },
};

/// Long enough for a machine with much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A topic, its pods, and everything that is known of them.
pub(crate) struct Case {
    pub(crate) topic: TestTopic,
    pub(crate) pods: Pods,
    folder: TempDir,
    produced: Vec<Produced>,
    faults: Vec<Fault>,
}

/// Microseconds since 1970.
pub(crate) fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_micros()).unwrap()
}

impl Case {
    /// A topic with so many partitions, and no pod yet.
    pub(crate) async fn new(partitions: i32) -> Case {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(partitions).await;
        let evidence = folder.path().join("evidence.jsonl");
        let pods = Pods::of(topic.name(), folder.path())
            .soon_missed()
            .with("TELEMETRY__EVIDENCE", evidence.to_str().unwrap())
            .with("RETRY__MAX_DELAY", "1s");
        Case { topic, pods, folder, produced: Vec::new(), faults: Vec::new() }
    }

    /// Its pods have `section.key` set, as the environment has it.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Case {
        self.pods = self.pods.with(key, value);
        self
    }

    /// Its pods all live to the end, and are given the time of a busy machine to say so.
    pub(crate) fn calm(self) -> Case {
        self.with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000").with("DEDUPE__LEASE", "30s")
    }

    /// A pod.
    pub(crate) fn start(&self) -> Worker {
        self.pods.start(TEST_WORKER)
    }

    /// A pod with one more variable, such as `ONCEWISE_CRASH`.
    pub(crate) fn start_with(&self, variable: &str, value: &str) -> Worker {
        self.pods.clone().variable(variable, value).start(TEST_WORKER)
    }

    /// A pod that has been assigned something.
    pub(crate) async fn joined(&self) -> Worker {
        let mut pod = self.start();
        pod.says(": assigned ", PATIENCE).await;
        pod
    }

    /// Sends events of these ids, each with this key and what it orders beside its id (`,"sleep_ms":5`).
    pub(crate) async fn send(&mut self, events: impl IntoIterator<Item = (String, String, String)>) {
        let events: Vec<_> = events.into_iter().collect();
        let records =
            events.iter().map(|(id, key, order)| Record::new(key, format!(r#"{{"id":"{id}"{order}}}"#)));
        let at = now();
        let places = self.topic.produce_all(records).await;
        for ((id, ..), (partition, offset)) in events.into_iter().zip(places) {
            let place = Some((self.topic.name().to_owned(), partition, offset));
            self.produced.push(Produced { at, id, place });
        }
    }

    /// How many events were sent.
    pub(crate) fn sent(&self) -> usize {
        self.produced.len()
    }

    /// Something was inflicted on a worker, or on all, that is over now.
    pub(crate) fn inflicted(&mut self, what: Inflicted, at: u64, pid: Option<u32>) {
        self.faults.push(Fault { at, until: now(), what, pid });
    }

    /// Kills a pod.
    pub(crate) fn kill(&mut self, pod: &mut Worker) {
        let at = now();
        pod.kill_9();
        self.inflicted(Inflicted::Crash, at, Some(pod.pid()));
    }

    /// Waits until everything is committed, and has everything judged.
    pub(crate) async fn judged(&mut self) -> Report {
        all_committed(&self.pods.group, &self.topic, PATIENCE).await;
        self.judged_as_it_is().await
    }

    /// Has everything judged as it is now.
    pub(crate) async fn judged_as_it_is(&mut self) -> Report {
        let effects = self.pods.effects().all().into_iter().map(|effect| Effect {
            id: effect.id,
            attempt: effect.attempt,
            token: effect.token,
            pid: effect.pid,
        });
        self.write("effects", effects);
        self.write("producer", self.produced.iter());
        self.write("faults", self.faults.iter());
        self.write("kafka", self.in_kafka().await.iter());
        checker::check(self.folder.path()).unwrap()
    }

    /// Everything is committed, and all invariants are held.
    pub(crate) async fn holds(&mut self) {
        let report = self.judged().await;
        let is_well = report.violated().is_empty() && report.unknown().is_empty();
        assert!(is_well, "{report}\nevidence: {}", self.keep().display());
    }

    /// Keeps the folder for whoever looks into it.
    pub(crate) fn keep(&mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    /// How many effects there are beyond one for each event.
    pub(crate) fn doubled(&self) -> usize {
        self.pods.effects().counts().values().map(|count| count - 1).sum()
    }

    fn write(&self, file: &str, lines: impl Iterator<Item = impl Serialize>) {
        let mut text = String::new();
        for line in lines {
            writeln!(text, "{}", serde_json::to_string(&line).unwrap()).unwrap();
        }
        let path: &Path = self.folder.path();
        fs::write(path.join(format!("{file}.jsonl")), text).unwrap();
    }

    async fn in_kafka(&self) -> Vec<InKafka> {
        let name = || self.topic.name().to_owned();
        let mut lines = Vec::new();
        let offsets = committed(&self.pods.group, &self.topic).await;
        for partition in 0..self.topic.partitions().await.unwrap() {
            let (start, end) = self.topic.watermarks(partition).await;
            let committed = offsets.get(&partition).map(|(offset, _)| *offset);
            lines.push(InKafka::Partition { topic: name(), partition, start, end, committed });
        }
        lines.extend(self.topic.read().await.iter().map(|record| InKafka::Record {
            place: (name(), record.partition, record.offset),
            id: id_of(record),
            key: record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
            digest: digest(record),
        }));
        let letters = self.pods.letters(&self.topic);
        if letters.partitions().await.is_ok() {
            lines.extend(letters.read().await.iter().map(|letter| {
                let number = |name: &str| letter.header(name).unwrap().parse::<i64>().unwrap();
                let partition = i32::try_from(number("oncewise-original-partition")).unwrap();
                InKafka::Letter {
                    place: (name(), partition, number("oncewise-original-offset")),
                    digest: digest(letter),
                    disposition: letter.header("oncewise-disposition").unwrap(),
                }
            }));
        }
        lines
    }
}

fn id_of(record: &ReadRecord) -> Option<String> {
    let event: serde_json::Value = serde_json::from_slice(record.value.as_deref()?).ok()?;
    Some(event.get("id")?.as_str()?.to_owned())
}

/// Of everything that a letter has to keep.
fn digest(record: &ReadRecord) -> String {
    let ours: BTreeSet<&[u8]> = [&b"oncewise-"[..]].into();
    let headers: Vec<_> = record
        .headers
        .iter()
        .filter(|(name, _)| !ours.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    format!("{:?}", (&record.key, &record.value, record.timestamp, headers))
}

/// Ids, keys and orders of events: `count` of them in so many keys.
pub(crate) fn events(
    name: &str,
    range: std::ops::Range<usize>,
    keys: usize,
    order: &str,
) -> Vec<(String, String, String)> {
    range.map(|n| (format!("{name}-{n}"), format!("key-{}", n % keys), order.to_owned())).collect()
}
