//! The worker itself: its own configuration, its own store, its own checks of the topics before it begins.

use std::{sync::Arc, time::Duration};

use oncewise::{
    Parts, Stopped, Worker,
    check::{self, Creation, Reliance},
    config::{self, Flags, Settings, Sources},
    kafka::KafkaClient,
    prelude::*,
    redis::RedisStore,
    store::{DedupeStore, MemoryStore},
    telemetry::{self, Health, Metrics},
};
use tokio::runtime::{Builder, Runtime};

use super::{
    Kind,
    job::{Job, Order},
};
use crate::{
    Result,
    contract::{Contract, Score},
    topic::Offsets,
};

const SERVICE: &str = "bench";
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks whether everything is settled.
const TURN: Duration = Duration::from_millis(4);
/// The same while nothing is done yet, so that looking costs a worker without work nothing.
const SELDOM: Duration = Duration::from_millis(100);

struct Count(Arc<Job>);

impl Handler for Count {
    const NAME: &'static str = "count";
    type Event = Order;

    fn dedupe_key(&self, order: &Order, _: &Metadata) -> DedupeKey {
        self.0.arrived();
        DedupeKey::of(&order.id)
    }

    async fn handle(&self, order: &Order, _: &Context) -> Outcome {
        self.0.handle(order).await;
        done()
    }
}

pub(super) fn run(contract: &Contract, kind: Kind) -> Result<Score> {
    // The threads of a worker that `App` starts.
    let (handlers, own) = (Runtime::new()?, Builder::new_current_thread().enable_all().build()?);
    let score = own.block_on(work(contract, kind, &handlers));
    handlers.shutdown_background();
    score
}

async fn work(contract: &Contract, kind: Kind, handlers: &Runtime) -> Result<Score> {
    let settings = settings(contract, kind)?;
    telemetry::init(settings.telemetry.log_format, &settings.telemetry.log_filter)?;
    let kafka = KafkaClient::from_settings(&settings.kafka);
    create_topics(contract, &settings, &kafka).await?;
    let metrics = Metrics::new();
    let parts =
        Parts { kafka, store: store(&settings, kind)?, metrics: metrics.clone(), health: Health::default() };
    let offsets = Offsets::new(&contract.brokers, &contract.group, &contract.topic)?;

    let job = Arc::new(Job::new(contract));
    let routes = Routes::new().on(&contract.topic, Count(Arc::clone(&job)));
    let service = Service::new(SERVICE).routes(routes);
    let worker = Worker::start(&settings, &[service], &parts, handlers.handle()).await?;
    let counted = metrics.service(SERVICE);
    // Adding up what is counted takes milliseconds: not before every record has come.
    while job.arrivals() < contract.expect || counted.totals().settled() < contract.expect {
        tokio::select! {
            () = tokio::time::sleep(if job.done() == 0 { SELDOM } else { TURN }) => {}
            reason = worker.failed() => return Err(reason.into()),
        }
    }
    worker.stop();
    let expected = i64::try_from(contract.expect)?;
    // Asking takes a moment itself.
    while offsets.committed()?.iter().sum::<i64>() < expected {}
    job.duplicates(counted.totals().duplicate);
    let score = job.score(kind, env!("CARGO_PKG_VERSION"));
    let score = Score { commits: Some(commits(&metrics)?), ..score };
    match worker.finish().await {
        Stopped::Drained => Ok(score),
        other => Err(format!("{other:?}").into()),
    }
}

/// The defaults, with what the contract says; variables `ONCEWISE__…` have the last word. The file of defaults is not
/// read, for it has the keys of the shop, too.
fn settings(contract: &Contract, kind: Kind) -> Result<Settings> {
    let layout = if kind == Kind::OursCompact { "compact" } else { "keys" };
    let ours = [
        ("ONCEWISE__KAFKA__BROKERS", contract.brokers.clone()),
        ("ONCEWISE__REDIS__URL", contract.redis_url.clone()),
        ("ONCEWISE__SERVICES__BENCH__GROUP", contract.group.clone()),
        ("ONCEWISE__WORKER__CONCURRENCY", contract.in_flight.to_string()),
        ("ONCEWISE__LEDGER__ENABLED", (kind == Kind::OursLedger).to_string()),
        ("ONCEWISE__DEDUPE__LAYOUT", layout.to_owned()),
        ("ONCEWISE__HTTP__LISTEN", "127.0.0.1:0".to_owned()),
        ("ONCEWISE__ADMIN__LISTEN", "off".to_owned()),
        ("ONCEWISE__TELEMETRY__LOG_FILTER", "error".to_owned()),
    ];
    let ours = ours.map(|(name, value)| (name.into(), value.into()));
    let sources = Sources::new(Flags::default(), ours.into_iter().chain(std::env::vars_os()))
        .in_folder("benches/config");
    Ok(config::load::<()>(&sources)?.settings)
}

/// Commits that Kafka has acknowledged.
fn commits(metrics: &Metrics) -> Result<u64> {
    let text = metrics.render()?;
    let line = text
        .lines()
        .find(|line| line.starts_with("oncewise_commits_total") && line.contains("\"committed\""));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default())
}

fn store(settings: &Settings, kind: Kind) -> Result<Arc<dyn DedupeStore>> {
    if kind == Kind::OursMemory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    Ok(Arc::new(RedisStore::open(&settings.redis, &settings.dedupe.prefix)?))
}

/// The dead-letter topic stands before the first record comes, and the ledger where there is one.
async fn create_topics(contract: &Contract, settings: &Settings, kafka: &KafkaClient) -> Result<()> {
    let ledger = format!("{}.ledger.{}", settings.dedupe.prefix, contract.group);
    let reliance = Reliance {
        group: contract.group.clone(),
        topics: vec![contract.topic.clone()],
        publishes: Vec::new(),
        later: Default::default(),
        ledger: settings.ledger.enabled.then_some(ledger),
        horizons: Vec::new(),
    };
    let creation = Creation { create: true, replication_factor: None, by_workers: false };
    let findings = check::kafka(kafka, PATIENCE, &[reliance], creation).await;
    if check::failed(&findings) { Err(format!("{findings:#?}").into()) } else { Ok(()) }
}
