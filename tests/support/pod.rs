//! Pods of the test worker: the same binary, with its own environment.

use std::{path::PathBuf, time::Duration};

use super::{
    door::Door,
    kafka::{self, TestTopic},
    ledger::Effects,
    process::{CANARY, Worker},
    redis, unique,
    wait::until,
};

/// A recipe for pods of one or more services; the pods of one recipe share groups, store and evidence.
#[derive(Debug, Clone)]
pub struct Pods {
    /// Consumer group and service name.
    pub group: String,
    services: String,
    folder: PathBuf,
    settings: Vec<(String, String)>,
}

impl Pods {
    /// Pods of one service on `topic`, whose group nobody else uses; the evidence is kept in `folder`. Their sessions and
    /// leases outlast whatever a busy machine does to them, so that nobody is taken for dead who lives.
    pub fn of(topic: &str, folder: &std::path::Path) -> Pods {
        let group = unique("group").replace(['-', '.'], "_");
        let services = format!("{group}={topic}");
        let settings = [
            ("KAFKA__BROKERS", kafka::brokers()),
            ("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000".to_owned()),
            ("KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS", "500".to_owned()),
            ("KAFKA__PROPERTIES__SSL_KEY_PASSWORD", CANARY.to_owned()),
            ("REDIS__URL", redis::shared_url()),
            ("DEDUPE__PREFIX", format!("t.{group}")),
            ("DEDUPE__LEASE", "30s".to_owned()),
            ("WORKER__DRAIN_TIMEOUT", "10s".to_owned()),
            ("RETRY__INITIAL_DELAY", "50ms".to_owned()),
            ("HTTP__LISTEN", "off".to_owned()),
        ];
        let settings = settings.map(|(key, value)| (format!("ONCEWISE__{key}"), value)).to_vec();
        Pods { group, services, folder: folder.to_owned(), settings }
    }

    /// What every key of theirs in Redis begins with, unless they were given another one.
    pub fn prefix(&self) -> String {
        format!("t.{}", self.group)
    }

    /// With another service on `topic`, named so, in a group of that name.
    pub fn and(mut self, name: &str, topic: &str) -> Pods {
        self.services = format!("{},{name}={topic}", self.services);
        self
    }

    /// With `section.key` set, written as the environment has it (`DEDUPE__LEASE`). The last value counts.
    pub fn with(mut self, key: &str, value: &str) -> Pods {
        self.settings.push((format!("ONCEWISE__{key}"), value.to_owned()));
        self
    }

    /// With short sessions and leases, for tests in which pods die: they are missed soon.
    pub fn soon_missed(self) -> Pods {
        self.with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "3000").with("DEDUPE__LEASE", "3s")
    }

    /// With the newer group protocol (KIP-848), in which the brokers decide on sessions: of three seconds here.
    pub fn newer_protocol(mut self) -> Pods {
        self.settings.retain(|(key, _)| !key.ends_with("_TIMEOUT_MS") && !key.ends_with("_INTERVAL_MS"));
        self.with("KAFKA__PROPERTIES__GROUP_PROTOCOL", "consumer")
    }

    /// With a lasting name in the group, as a pod of a StatefulSet has.
    pub fn named(self, name: &str) -> Pods {
        self.with("WORKER__INSTANCE_ID", "{hostname}-{service}").variable("HOSTNAME", name)
    }

    /// With an environment variable under its own name, such as `ONCEWISE_CRASH`.
    pub fn variable(mut self, name: &str, value: &str) -> Pods {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts one pod.
    pub fn start(&self, program: &str) -> Worker {
        self.command(program, &["run"])
    }

    /// Starts the binary with another verb.
    pub fn command(&self, program: &str, args: &[&str]) -> Worker {
        let (effects, attempts, replayed) = (self.effects(), self.attempts(), self.replayed());
        let mut env: Vec<(&str, &str)> = vec![
            ("ONCEWISE_TEST_SERVICES", &self.services),
            ("ONCEWISE_TEST_EFFECTS", effects.path().to_str().expect("a path in UTF-8")),
            ("ONCEWISE_TEST_ATTEMPTS", attempts.path().to_str().expect("a path in UTF-8")),
            ("ONCEWISE_TEST_REPLAYED", replayed.path().to_str().expect("a path in UTF-8")),
        ];
        env.extend(self.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        let nowhere = self.folder.join("config");
        std::fs::create_dir_all(&nowhere).expect("a folder without configuration");
        let nowhere = nowhere.to_str().expect("a path in UTF-8").to_owned();
        let args: Vec<&str> =
            ["--config", nowhere.as_str()].into_iter().chain(args.iter().copied()).collect();
        Worker::start(program, &args, &env)
    }

    /// Waits until the group has committed so many records of `topic` in all.
    pub async fn commit(&self, topic: &TestTopic, records: i64, deadline: Duration) {
        until(&format!("{records} records to be committed"), deadline, async || {
            let committed = kafka::committed(&self.group, topic).await;
            let sum: i64 = committed.values().map(|(offset, _)| offset).sum();
            if sum == records { Ok(()) } else { Err(committed) }
        })
        .await;
    }

    /// A door that their handlers may be told to wait at.
    pub fn door(&self, name: &str) -> Door {
        Door::at(self.folder.join(format!("door-{name}")))
    }

    /// What took effect.
    pub fn effects(&self) -> Effects {
        Effects::at(self.folder.join("effects"))
    }

    /// Which attempts were made.
    pub fn attempts(&self) -> Effects {
        Effects::at(self.folder.join("attempts"))
    }

    /// Which attempts replays made, by idempotency key.
    pub fn replayed(&self) -> Effects {
        Effects::at(self.folder.join("replayed"))
    }

    /// The topic of the group's dead letters.
    pub fn letters(&self, topic: &TestTopic) -> TestTopic {
        TestTopic::named(&format!("{}.{}.dlt", topic.name(), self.group))
    }

    /// Waits until the group has committed exactly this offset of one partition.
    pub async fn until_committed(&self, topic: &TestTopic, partition: i32, offset: i64) {
        let what = format!("offset {offset} of partition {partition} to be committed");
        until(&what, Duration::from_secs(60), async || {
            let committed = kafka::committed(&self.group, topic).await;
            let there = committed.get(&partition).is_some_and(|(committed, _)| *committed == offset);
            if there { Ok(()) } else { Err(committed) }
        })
        .await;
    }
}
