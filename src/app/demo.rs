//! `demo`: everything at work with nothing but this binary. An embedded broker, a store in memory, and the
//! same pipeline as `run`.

use std::{
    any::Any,
    fmt,
    io::IsTerminal,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use tokio::runtime::Handle;

use super::{Build, FAILED, FINE, build_on, failed, signals::Signals};
use crate::{
    BoxError, Service,
    config::{AppConfig, Loaded},
    kafka::{EmbeddedBroker, KafkaClient, produce_all},
    pipeline::dead_letter::dead_letter_topic,
    store::MemoryStore,
    telemetry::{Health, Metrics, ServiceMetrics, metrics::Totals},
    worker::{Parts, Stopped, Worker},
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
}

/// One record of a demo.
#[derive(Debug, Clone)]
pub struct DemoRecord {
    /// The record's key.
    pub key: Vec<u8>,
    /// The encoded event, or what poses as one.
    pub value: Vec<u8>,
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
    settings.topics.create = false;
    let (app, _alive) = (demo.prepare)(app)?;
    let services = build_on(handlers, build, app).await?;
    let records = (demo.records)(orders);
    let broker = embedded(demo.topic, &services)?;
    let kafka = KafkaClient::new(broker.brokers());
    println!("An embedded broker is up; {} records are on their way to `{}`.", records.len(), demo.topic);
    let expected = u64::try_from(records.len())?;
    produce_all(&kafka, demo.topic, records.into_iter().map(|record| (record.key, record.value))).await?;

    let metrics = Metrics::new();
    let parts = Parts {
        kafka,
        store: Arc::new(MemoryStore::new()),
        metrics: metrics.clone(),
        health: Health::default(),
    };
    let began = Instant::now();
    let worker = Worker::start(&settings, &services, &parts, handlers).await?;
    let watched: Vec<(String, ServiceMetrics)> =
        services.iter().map(|service| (service.name().to_owned(), metrics.service(service.name()))).collect();
    let mut signals = Signals::listen()?;
    tokio::select! {
        () = progress(&watched, expected) => {}
        reason = worker.failed() => eprintln!("{reason}"),
        () = tokio::time::sleep(PATIENCE) => eprintln!("not finished after {} s", PATIENCE.as_secs()),
        _ = signals.next() => eprintln!("interrupted"),
    }
    let took = began.elapsed();
    let drained = worker.finish().await == Stopped::Drained;
    let rows: Vec<(String, Totals)> =
        watched.into_iter().map(|(name, metrics)| (name, metrics.totals())).collect();
    println!("{}", table(&rows));
    let adds_up = rows.iter().all(|(_, totals)| totals.consumed == expected && totals.settled() == expected);
    let each =
        format!("{expected} records for each of {} services in {:.1} s", rows.len(), took.as_secs_f64());
    if adds_up && drained {
        println!("Everything adds up: {each}, each event once.");
    } else {
        println!("This does not add up: expected were {each}.");
    }
    Ok(adds_up && drained)
}

/// The demo's topic and the dead letters of every group that reads it.
fn embedded(topic: &str, services: &[Service]) -> Result<EmbeddedBroker, BoxError> {
    let letters: Vec<String> =
        services.iter().map(|service| dead_letter_topic(topic, service.default_group())).collect();
    let topics: Vec<(&str, i32)> = std::iter::once(topic)
        .chain(letters.iter().map(String::as_str))
        .map(|topic| (topic, PARTITIONS))
        .collect();
    Ok(EmbeddedBroker::start(&topics)?)
}

/// Shows how far each service is, until all have settled everything: bars on a terminal, lines elsewhere.
async fn progress(services: &[(String, ServiceMetrics)], expected: u64) {
    let bars = MultiProgress::new();
    let style = ProgressStyle::with_template("{prefix:>14} {bar:40} {pos}/{len} {per_sec:>12}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = |name: &String| {
        bars.add(ProgressBar::new(expected)).with_style(style.clone()).with_prefix(name.clone())
    };
    let bars: Vec<ProgressBar> = services.iter().map(|(name, _)| bar(name)).collect();
    let is_terminal = std::io::stderr().is_terminal();
    let mut turns = tokio::time::interval(Duration::from_millis(100));
    for turn in 0_u32.. {
        turns.tick().await;
        let settled: Vec<u64> = services.iter().map(|(_, metrics)| metrics.totals().settled()).collect();
        bars.iter().zip(&settled).for_each(|(bar, settled)| bar.set_position(*settled));
        if !is_terminal && turn % 10 == 9 {
            let each: Vec<String> = services
                .iter()
                .zip(&settled)
                .map(|((name, _), settled)| format!("{name} {settled}/{expected}"))
                .collect();
            println!("{}", each.join("   "));
        }
        if settled.iter().all(|settled| *settled >= expected) {
            bars.iter().for_each(|bar| bar.finish());
            return;
        }
    }
}

fn table(rows: &[(String, Totals)]) -> Table {
    let mut table = Table::new();
    let head =
        ["service", "consumed", "done", "skipped", "duplicates", "deferred", "dead-lettered", "attempts"];
    table.load_style(presets::ASCII_MARKDOWN).set_header(head);
    for (name, totals) in rows {
        let Totals { consumed, done, skipped, duplicate, deferred, dead_lettered, attempts } = totals;
        let counts = [consumed, done, skipped, duplicate, deferred, dead_lettered, attempts];
        table.add_row(std::iter::once(name.clone()).chain(counts.map(ToString::to_string)));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

impl<C> fmt::Debug for Demo<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo").field("topic", &self.topic).finish_non_exhaustive()
    }
}
