//! `demo`: everything at work with nothing but this binary. An embedded broker, a store in memory, and the
//! same pipeline as `run`.

mod progress;
mod table;

use std::{any::Any, collections::BTreeSet, fmt, process::ExitCode, sync::Arc, time::Duration};

use tokio::runtime::Handle;

use super::{Build, FAILED, FINE, failed, services, signals::Signals};
use crate::{
    BoxError, Service,
    config::{AppConfig, Loaded, Settings},
    kafka::{EmbeddedBroker, produce_all},
    pipeline::dead_letter::dead_letter_topic,
    store::MemoryStore,
    telemetry::{Health, Metrics, metrics::Totals},
    worker::{Parts, Stopped, Worker, group_of},
};

/// Partitions of each topic.
const PARTITIONS: i32 = 4;
/// Far more than a demo takes; it fails rather than hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// Changes a configuration for the demo; what comes with it lives as long as the demo.
pub type Prepare<C> = fn(C) -> Result<(C, Box<dyn Any + Send>), BoxError>;

/// What a binary shows when it is asked for a demo.
pub struct Demo<C> {
    /// Where the records go.
    pub topic: &'static str,
    /// The configuration for the demo, and what must live as long as it runs, such as a temporary folder.
    pub prepare: Prepare<C>,
    /// So many orders, with duplicates and poison among them.
    pub records: fn(u64) -> Vec<DemoRecord>,
    /// What a service, given by its name, must make of so many records.
    pub expected: fn(&str, u64) -> DemoCounts,
}

/// One record of a demo.
#[derive(Debug, Clone)]
pub struct DemoRecord {
    /// The record's key.
    pub key: Vec<u8>,
    /// The encoded event, or what poses as one.
    pub value: Vec<u8>,
}

/// What a service makes of a demo's records. Together they are all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DemoCounts {
    /// Handled, each for the first time.
    pub done: u64,
    /// Dropped, as they were handled before.
    pub duplicates: u64,
    /// Moved to the dead-letter topic, as they cannot be handled.
    pub dead_lettered: u64,
}

impl DemoCounts {
    fn total(&self) -> u64 {
        self.done + self.duplicates + self.dead_lettered
    }

    fn are(&self, totals: &Totals) -> bool {
        let Self { done, duplicates, dead_lettered } = *self;
        *totals
            == Totals {
                consumed: self.total(),
                done,
                duplicate: duplicates,
                dead_lettered,
                attempts: totals.attempts,
                ..Totals::default()
            }
    }
}

pub(super) async fn run<C: AppConfig + Clone>(
    demo: &Demo<C>,
    build: &Build<C>,
    loaded: Loaded<C>,
    orders: u64,
    handlers: &Handle,
) -> ExitCode {
    match show(demo, build, loaded, orders, handlers).await {
        Ok(true) => ExitCode::from(FINE),
        Ok(false) => ExitCode::from(FAILED),
        Err(error) => failed(error),
    }
}

/// Whether everything adds up.
async fn show<C: AppConfig + Clone>(
    demo: &Demo<C>,
    build: &Build<C>,
    loaded: Loaded<C>,
    orders: u64,
    handlers: &Handle,
) -> Result<bool, BoxError> {
    let Loaded { mut settings, app } = loaded;
    settings.http.listen = None;
    settings.admin.listen = None;
    settings.topics.create = false;
    settings.topics.control = None;
    // What is called otherwise in the real Kafka has its own name here.
    settings.topics.names.clear();
    let (app, _alive) = (demo.prepare)(app)?;
    let services = services::built(build, app, handlers).await?;
    let records = (demo.records)(orders);
    let broker = embedded(&services, &settings)?;
    let kafka = broker.client();
    let count = u64::try_from(records.len())?;
    println!("Oncewise at work: an embedded broker, a store in memory, {} services.", services.len());
    println!("{count} records are in `{}`, some of them twice, some of them broken.\n", demo.topic);
    produce_all(&kafka, demo.topic, records.into_iter().map(|record| (record.key, record.value))).await?;

    let metrics = Metrics::new();
    let parts = Parts {
        kafka,
        store: Arc::new(MemoryStore::new()),
        metrics: metrics.clone(),
        health: Health::default(),
    };
    let worker = Worker::start(&settings, &services, &parts, handlers).await?;
    let watched: Vec<_> = services
        .iter()
        .map(Service::name)
        .map(|name| (name, metrics.service(name), (demo.expected)(name, orders).total()))
        .collect();
    let mut signals = Signals::listen()?;
    let took = tokio::select! {
        took = progress::until_settled(&watched) => Ok(took),
        reason = worker.failed() => Err(reason),
        () = tokio::time::sleep(PATIENCE) => Err(format!("not finished after {} s", PATIENCE.as_secs())),
        _ = signals.next() => Err("interrupted".to_owned()),
    };
    let stopped = worker.finish().await;
    let rows: Vec<_> = watched.iter().map(|(name, metrics, _)| (*name, metrics.totals())).collect();
    println!("\n{}\n", table::of(&rows));
    let verdict = took.and_then(|took| match stopped {
        Stopped::Drained => demo.judge(&rows, orders).map(|()| took),
        Stopped::CutOff => Err("the drain deadline cut something off".to_owned()),
        Stopped::Failed(reason) => Err(reason),
    });
    match &verdict {
        Ok(took) => println!(
            "Everything adds up: every service settled all of its records in {:.1} s,\nand every event took effect once.",
            took.as_secs_f64()
        ),
        Err(reason) => println!("This does not add up: {reason}."),
    }
    Ok(verdict.is_ok())
}

impl<C> Demo<C> {
    /// Whether the services did what they must; an error names the first that did not.
    fn judge(&self, rows: &[(&str, Totals)], orders: u64) -> Result<(), String> {
        let mut judged = rows.iter().map(|(name, totals)| (name, totals, (self.expected)(name, orders)));
        match judged.find(|(_, totals, expected)| !expected.are(totals)) {
            Some((name, _, DemoCounts { done, duplicates, dead_lettered })) => Err(format!(
                "{name} should have {done} done, {duplicates} duplicates and {dead_lettered} dead-lettered"
            )),
            None => Ok(()),
        }
    }
}

/// A broker with every topic that the services read or write.
fn embedded(services: &[Service], settings: &Settings) -> Result<EmbeddedBroker, BoxError> {
    let mut topics = BTreeSet::new();
    for service in services {
        let group = group_of(service, &settings.service(service.name()));
        for topic in service.table().topics() {
            topics.insert(topic.to_owned());
            topics.insert(dead_letter_topic(topic, &group));
        }
        topics.extend(service.published_topics().iter().cloned());
    }
    let topics: Vec<(&str, i32)> = topics.iter().map(|topic| (topic.as_str(), PARTITIONS)).collect();
    Ok(EmbeddedBroker::start(&topics)?)
}

impl<C> fmt::Debug for Demo<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("topic", &self.topic).finish_non_exhaustive()
    }
}
