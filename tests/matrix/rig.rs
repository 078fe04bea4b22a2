//! Events on their way through pods, while something is wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::TEST_WORKER;
use crate::support::kafka::{Record, TestTopic};
use crate::support::pod::Pods;
use crate::support::process::Worker;
use crate::support::wait::until;
use crate::support::{free_ports, http};

/// Whatever should come by itself.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// While records wait, something has to happen within this time.
pub(crate) const STALL: Duration = Duration::from_secs(30);
/// The longest that a whole load may take.
const LONG: Duration = Duration::from_secs(300);

/// A topic, the recipe of the pods that work on it, and what was sent.
pub(crate) struct Rig {
    pub(crate) topic: TestTopic,
    pub(crate) pods: Pods,
    pub(crate) sent: usize,
    partitions: i32,
    probes: SocketAddr,
    _folder: TempDir,
}

impl Rig {
    /// On a topic that is not there yet, at the brokers it says.
    pub(crate) async fn on(topic: TestTopic, partitions: i32) -> Rig {
        topic.create(partitions, &[]).await;
        Rig::at(topic, partitions)
    }

    /// On a topic that is there.
    pub(crate) fn at(topic: TestTopic, partitions: i32) -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let pods =
            Pods::of(topic.name(), folder.path()).soon_missed().with("KAFKA__BROKERS", topic.brokers());
        let probes = SocketAddr::from(([127, 0, 0, 1], free_ports(1)));
        Rig { topic, pods, sent: 0, partitions, probes, _folder: folder }
    }

    /// On a topic of the shared brokers.
    pub(crate) async fn new(partitions: i32) -> Rig {
        Rig::on(TestTopic::named(&crate::support::unique("row")), partitions).await
    }

    /// With `section.key` set, written as the environment has it.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Rig {
        self.pods = self.pods.with(key, value);
        self
    }

    /// Starts a pod without probes.
    pub(crate) fn start_another(&self) -> Worker {
        self.pods.start(TEST_WORKER)
    }

    /// Starts the pod that answers the probes.
    pub(crate) fn start(&self) -> Worker {
        self.pods.clone().with("HTTP__LISTEN", &self.probes.to_string()).start(TEST_WORKER)
    }

    /// Sends more events, of a key each: the number of the next one goes into `fields`, which are all of the event but
    /// its id.
    pub(crate) async fn send(&mut self, count: usize, fields: impl Fn(usize) -> String) {
        let record = |n: usize| {
            let value = format!(r#"{{"id":"event-{n}"{}}}"#, fields(n));
            Record::new(format!("key-{n}"), value).to(i32::try_from(n).unwrap() % self.partitions)
        };
        self.topic.produce_all((self.sent..self.sent + count).map(record)).await;
        self.sent += count;
    }

    /// Sends more events that take so many milliseconds each.
    pub(crate) async fn load(&mut self, count: usize, sleep_ms: u64) {
        self.send(count, |_| format!(r#","sleep_ms":{sleep_ms}"#)).await;
    }

    /// The topic of the group's dead letters.
    pub(crate) fn letters(&self) -> TestTopic {
        TestTopic::at(self.topic.brokers(), &format!("{}.{}.dlt", self.topic.name(), self.pods.group))
    }

    /// How many effects there are, twice the same counted twice.
    pub(crate) fn effects(&self) -> usize {
        self.pods.effects().all().len()
    }

    /// Waits until there are so many more.
    pub(crate) async fn more_effects(&self, more: usize, patience: Duration) {
        let before = self.effects();
        until(&format!("{more} more than {before} effects"), patience, async || {
            let effects = self.effects();
            if effects >= before + more { Ok(()) } else { Err(effects) }
        })
        .await;
    }

    /// Waits until a probe answers so.
    pub(crate) async fn answers(&self, path: &str, status: u16, text: &str) {
        until(&format!("{path} to answer {status} {text:?}"), PATIENCE, async || {
            match http::get(self.probes, path).await {
                Ok((code, body)) if code == status && body.contains(text) => Ok(()),
                other => Err(other),
            }
        })
        .await;
    }

    /// What `/readyz` says.
    pub(crate) async fn ready(&self) -> Result<String, String> {
        http::get(self.probes, "/readyz").await.map(|(status, body)| format!("{status} {body}"))
    }

    /// Looks for so long whether a probe answers the same all the time.
    pub(crate) async fn keeps_answering(&self, path: &str, status: u16, time: Duration) {
        let began = Instant::now();
        until("the time to pass", time * 2, async || {
            let (code, body) = http::get(self.probes, path).await.unwrap();
            assert_eq!(code, status, "{path} after {:?}: {body}", began.elapsed());
            if began.elapsed() >= time { Ok(()) } else { Err(()) }
        })
        .await;
    }

    /// Waits until each event has taken effect and all of them are committed; how often each did. While any of them
    /// waits, there is no time without a new one that is longer than [`STALL`].
    pub(crate) async fn settles(&self) -> BTreeMap<String, usize> {
        let (mut seen, mut since) = (0, Instant::now());
        let counts = until("all events to take effect", LONG, async || {
            let counts = self.pods.effects().counts();
            if counts.len() > seen {
                (seen, since) = (counts.len(), Instant::now());
            }
            assert!(since.elapsed() < STALL, "stalled with {seen} of {} events", self.sent);
            if counts.len() == self.sent { Ok(counts) } else { Err(counts.len()) }
        })
        .await;
        self.pods.commit(&self.topic, i64::try_from(self.sent).unwrap(), PATIENCE).await;
        counts
    }

    /// The same; each exactly once, and without a letter.
    pub(crate) async fn settles_once(&self) {
        self.settles().await;
        let counts = self.pods.effects().counts();
        let doubled: BTreeMap<_, _> = counts.iter().filter(|(_, count)| **count != 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        assert_eq!(self.letters().read().await.len(), 0);
    }
}

/// Waits until so much time has gone by.
pub(crate) async fn passes(time: Duration) {
    let began = Instant::now();
    until("time to pass", time * 2, async || if began.elapsed() >= time { Ok(()) } else { Err(()) }).await;
}
