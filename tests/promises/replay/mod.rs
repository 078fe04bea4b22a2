//! A range of the past is run again, and only what has never taken effect does so.

mod forgotten;
mod hours;
mod letters;
mod live;
mod modes;
mod new_groups;
mod outages;
mod over_http;
mod pace;
mod ranges;
mod resume;
mod rewind;
mod transactions;
mod unknown;

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use oncewise::store::StoreKey;
use serde_json::{Value, json};

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        process::Worker,
        redis::{RedisServer, patient_connection, shared_url},
    },
};

const PATIENCE: Duration = Duration::from_secs(120);
const MINUTE: i64 = 60_000;

/// A service and what happened to it.
struct Past {
    topic: TestTopic,
    audit: TestTopic,
    pods: Pods,
    /// Milliseconds since 1970: eight hours ago.
    began: i64,
    redis: String,
    _folder: tempfile::TempDir,
}

/// What a verb of the binary did.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    said: String,
}

impl Past {
    async fn of(partitions: i32) -> Past {
        Past::on(TestTopic::with_config(partitions, &[("retention.ms", "-1")]).await)
    }

    fn on(topic: TestTopic) -> Past {
        let folder = tempfile::tempdir().unwrap();
        let audit = TestTopic::at(topic.brokers(), &format!("{}.audit", topic.name()));
        let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("TOPICS__AUDIT", audit.name());
        let pods = pods.with("KAFKA__BROKERS", topic.brokers());
        let redis = shared_url();
        Past {
            topic,
            audit,
            pods,
            redis,
            began: Timestamp::now().as_millisecond() - 480 * MINUTE,
            _folder: folder,
        }
    }

    fn with(self, key: &str, value: &str) -> Past {
        Past { pods: self.pods.with(key, value), ..self }
    }

    fn on_redis(self, redis: &RedisServer) -> Past {
        Past { redis: redis.url(), ..self }.with("REDIS__URL", &redis.url())
    }

    /// So many minutes after it began, as the command line has times.
    fn at(&self, minutes: i64) -> String {
        Timestamp::from_millisecond(self.began + minutes * MINUTE).unwrap().to_string()
    }

    /// An event in one partition, so many minutes after it began.
    fn event(&self, id: &str, orders: &str, partition: i32, minutes: i64) -> Record {
        let event = Record::new(id, format!(r#"{{"id":"{id}"{orders}}}"#));
        event.to(partition).stamped(self.began + minutes * MINUTE)
    }

    /// Events `0`, `1`, …, one a minute, the partitions in turn.
    async fn events(&self, count: i64) {
        self.events_that(count, "").await;
    }

    async fn events_that(&self, count: i64, orders: &str) {
        let partitions = i64::from(self.topic.partitions().await.unwrap());
        let event = |n: i64| self.event(&n.to_string(), orders, (n % partitions) as i32, n);
        self.topic.produce_all((0..count).map(event)).await;
    }

    /// The live group handles all there is, and ends.
    async fn is_handled(&self, records: i64) {
        let mut pod = self.pods.start(TEST_WORKER);
        self.pods.commit(&self.topic, records, PATIENCE).await;
        pod.terminate();
        assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    }

    fn start(&self, verb: &str, args: &[&str]) -> Worker {
        self.pods.command(TEST_WORKER, &[&[verb], args].concat())
    }

    /// A verb, to its end.
    async fn does(&self, verb: &str, args: &[&str]) -> Ran {
        let mut worker = self.start(verb, args);
        let code = worker.wait(PATIENCE).await.code();
        Ran { code, said: worker.output() }
    }

    /// `replay --yes --json` of these minutes.
    async fn replay(&self, from: i64, to: i64, args: &[&str]) -> Ran {
        let (from, to) = (self.at(from), self.at(to));
        let range = ["--from", &from, "--to", &to, "--yes", "--json"];
        self.does("replay", &[&range, args].concat()).await
    }

    /// As if these events had never been handled.
    async fn forget(&self, ids: impl IntoIterator<Item = String>) {
        let mut connection = patient_connection(&self.redis).await;
        for id in ids {
            let key = StoreKey::new(&self.pods.prefix(), &self.pods.group, "obey", &id).name();
            let deleted: u64 = redis::cmd("DEL").arg(key).query_async(&mut connection).await.unwrap();
            assert_eq!(deleted, 1, "{id} was known");
        }
    }

    /// How often each event took effect, by its number of effects.
    fn effects(&self) -> BTreeMap<usize, usize> {
        let mut times = BTreeMap::new();
        self.pods.effects().counts().into_values().for_each(|count| *times.entry(count).or_default() += 1);
        times
    }

    async fn audited(&self) -> Vec<Value> {
        let records = self.audit.read().await;
        records.iter().map(|record| serde_json::from_str(&record.value_text()).unwrap()).collect()
    }
}

impl Ran {
    fn json(&self) -> Value {
        json_in(&self.said)
    }

    /// The exit code, and those counts that are not 0.
    fn result(&self) -> (Option<i32>, Value) {
        (self.code, counts(&self.json()))
    }

    fn assert_says(&self, code: i32, texts: &[&str]) {
        assert_eq!(self.code, Some(code), "{}", self.said);
        for text in texts {
            assert!(self.said.contains(text), "{text:?} is missing in: {}", self.said);
        }
    }
}

fn json_in(said: &str) -> Value {
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    serde_json::from_str(line).unwrap()
}

fn counts(shown: &Value) -> Value {
    let tally = shown["tally"].as_object().unwrap_or_else(|| panic!("no tally: {shown}"));
    let there = tally.iter().filter(|(_, count)| **count != json!(0));
    Value::Object(there.map(|(name, count)| (name.clone(), count.clone())).collect())
}
