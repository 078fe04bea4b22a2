//! What operators see and do over HTTP: the overview of a process, the description of its endpoints.

mod browser;
mod described;
mod fleet;
mod focus;
mod keyboard;
mod overview;
mod page;
mod partitions;

use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    TEST_WORKER,
    support::{
        free_ports,
        http::{Answer, ask, get},
        kafka::{Record, TestTopic},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const TOKEN: &str = "0123456789abcdef-of-a-console";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A worker with endpoints and a Redis of its own.
struct Desk {
    topic: TestTopic,
    pods: Pods,
    redis: RedisServer,
    worker: Worker,
    port: u16,
    _folder: TempDir,
}

impl Desk {
    async fn of(partitions: i32) -> Desk {
        Desk::with(partitions, &[]).await
    }

    /// With further settings.
    async fn with(partitions: i32, more: &[(&str, &str)]) -> Desk {
        let (topic, redis) = (TestTopic::new(partitions).await, RedisServer::start(false).await);
        let (folder, port) = (tempfile::tempdir().unwrap(), free_ports(1));
        let pods = Pods::of(topic.name(), folder.path())
            .with("REDIS__URL", &redis.url())
            .with("TOPICS__AUDIT", &format!("{}.audit", topic.name()))
            .with("TOPICS__CONTROL", &format!("{}.control", topic.name()))
            .with("RETRY__MAX_DELAY", "200ms")
            .with("ADMIN__LISTEN", &format!("127.0.0.1:{port}"))
            .with("ADMIN__TOKEN", TOKEN);
        let pods = more.iter().fold(pods, |pods, (key, value)| pods.with(key, value));
        let worker = pods.start(TEST_WORKER);
        let desk = Desk { topic, pods, redis, worker, port, _folder: folder };
        until("the admin API", PATIENCE, async || get(port, "/").await.map_err(|_| desk.worker.output()))
            .await;
        desk
    }

    /// Events `from..to`, the partitions in turn, each with more orders for its handler.
    async fn events(&self, from: i64, to: i64, orders: &str) {
        let partitions = i64::from(self.topic.partitions().await.unwrap());
        let event = |n: i64| {
            let event = Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}"{orders}}}"#));
            event.to(i32::try_from(n % partitions).unwrap())
        };
        self.topic.produce_all((from..to).map(event)).await;
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        let answer = ask(self.port, method, &format!("/api/v1{path}"), &headers, body).await;
        answer.unwrap_or_else(|error| panic!("{error}: {}", self.worker.output()))
    }

    /// Asks for something to be done.
    async fn order(&self, path: &str, body: Value) -> Answer {
        self.ask("POST", path, &[JSON], &body.to_string()).await
    }

    /// What stands in the audit topic.
    async fn acts(&self) -> Vec<Value> {
        let audit = TestTopic::named(&format!("{}.audit", self.topic.name()));
        let acts = audit.read().await;
        acts.iter().map(|act| serde_json::from_str(&act.value_text()).unwrap()).collect()
    }

    async fn json(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// The service as `/status` has it, once it is so.
    async fn service(&self, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, PATIENCE, async || {
            let service = self.json("/status").await["services"][0].clone();
            if is(&service) { Ok(service) } else { Err((service, self.worker.output())) }
        })
        .await
    }
}
