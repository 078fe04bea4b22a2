//! Services at work: wires the steps together, starts them, drains them, stops them.

mod assembly;
mod board;
mod continuity;
mod control;
pub(crate) mod memory;
mod past;
mod wiring;

use std::{
    collections::BTreeSet,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

pub(crate) use assembly::Assembly;
pub(crate) use board::Board;
pub(crate) use control::Control;
pub(crate) use wiring::{group_of, hostname, ledger_of};

use crate::{
    Service,
    admin::{Admin, Stage},
    config::Settings,
    fleet::{self, Member, Seat},
    kafka::{Ended, KafkaClient, RecordProducer, topic_names},
    ledger,
    pipeline::{Crowd, Producer, ServiceRun, Topic},
    store::{Clock, DedupeStore, OwnerFactory},
    telemetry::{Health, Metrics},
};

/// After the drain deadline, leaving the group may take this much longer.
const LEAVE: Duration = Duration::from_secs(5);

/// What services need from the outside.
#[derive(Debug, Clone)]
pub struct Parts {
    /// Where Kafka is.
    pub kafka: KafkaClient,
    /// Who remembers what took effect.
    pub store: Arc<dyn DedupeStore>,
    /// Where happenings are counted.
    pub metrics: Metrics,
    /// Where the probes look.
    pub health: Health,
}

/// Running services.
#[derive(Debug)]
pub struct Worker {
    services: Vec<Running>,
    stop: CancellationToken,
    drain_timeout: Duration,
    control: Control,
    admin: Option<Admin>,
    fleet: Option<Member>,
}

#[derive(Debug)]
struct Running {
    run: Arc<ServiceRun>,
    topics: Vec<Arc<Topic>>,
    poller: JoinHandle<Ended>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// Everything that ran was finished and committed.
    Drained,
    /// The drain deadline cut something off: those events are held until their leases end.
    CutOff,
    /// A service could not go on, and why.
    Failed(String),
}

impl Worker {
    /// Starts these services; their handlers run on `handlers`. The caller should be elsewhere: handlers may
    /// block all threads of their runtime.
    ///
    /// # Errors
    /// What is wrong with the services' topics, with the store or with the addresses of the probes and the admin API.
    pub async fn start(
        settings: &Settings,
        services: &[Service],
        parts: &Parts,
        handlers: &Handle,
    ) -> Result<Self, String> {
        services.iter().for_each(|service| drop(parts.health.service(service.name())));
        let stop = CancellationToken::new();
        let control = Control::start()?;
        control.serve(settings.http.listen, parts).await?;
        let crowd = Crowd::default();
        let board = Board::default();
        let seat = Seat::default();
        let stage = Stage {
            settings: settings.clone(),
            services: services.to_vec(),
            parts: parts.clone(),
            handlers: handlers.clone(),
            control: control.handle(),
            crowd: crowd.clone(),
            board: board.clone(),
            seat: seat.clone(),
        };
        let admin = Admin::start(stage, &stop).await?;
        let producer = RecordProducer::new(parts.kafka.clone(), settings.dead_letter.delivery_timeout)
            .map_err(|fault| fault.to_string())?;
        let producer: Arc<dyn Producer> = Arc::new(producer);
        let there = topics_there(&parts.kafka).await?;
        let wiring = wiring::Wiring {
            settings,
            parts,
            assembly: Assembly {
                settings,
                store: Arc::clone(&parts.store),
                producer: Arc::clone(&producer),
                metrics: parts.metrics.clone(),
                health: parts.health.clone(),
                crowd,
                owners: OwnerFactory::new(),
                control: control.handle(),
                clock: Clock::System,
                chance: rand::random,
                told: None,
                sends_on: true,
                replay: None,
            },
            control: &control,
            handlers,
            board: &board,
            there: &there,
            stop: &stop,
        };
        let (memories, keepers) =
            memory::begin_all(settings, services, parts).await.map_err(|fault| fault.to_string())?;
        let running: Result<Vec<_>, _> = services.iter().map(|service| wiring.start(service)).collect();
        let drain_timeouts =
            services.iter().map(|service| settings.service(service.name()).worker.drain_timeout);
        let drain_timeout = drain_timeouts.max().unwrap_or(settings.worker.drain_timeout);
        let services = running.inspect_err(|_| stop.cancel())?;
        let fleet = fleet(settings, parts, &services, producer, board, &control.handle());
        fleet.iter().for_each(|member| seat.take(member));
        let statuses: Vec<_> = services.iter().map(|running| Arc::clone(&running.run.status)).collect();
        let keepers = keepers.into_iter().zip(statuses.clone()).collect();
        control.handle().spawn(ledger::watch(Arc::clone(&parts.store), keepers));
        control.handle().spawn(continuity::watch(Arc::clone(&parts.store), statuses, memories));
        Ok(Self { services, stop, drain_timeout, control, admin, fleet })
    }

    /// Begins to drain. Nothing new starts; what runs may finish.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Waits until a service cannot go on, and says why.
    pub async fn failed(&self) -> String {
        let failures = self.services.iter().map(|running| Box::pin(running.run.status.failed.cancelled()));
        futures_util::future::select_all(failures).await;
        self.failure().unwrap_or_default()
    }

    fn failure(&self) -> Option<String> {
        let failure = |running: &Running| {
            let reason = running.run.status.failure()?;
            Some(format!("service {}: {reason}", running.run.name()))
        };
        self.services.iter().find_map(failure)
    }

    /// Drains, and waits for the end.
    pub async fn finish(self) -> Stopped {
        self.stop();
        let deadline = Instant::now() + self.drain_timeout + LEAVE;
        let left = self.services.iter().all(|running| running.poller.is_finished());
        let mut ended = if left { Ended::Drained } else { Ended::CutOff };
        let failure = self.failure();
        let pollers: Vec<_> = self.services.into_iter().map(|running| running.poller).collect();
        let all = tokio::task::spawn_blocking(move || {
            pollers.into_iter().map(|poller| poller.join().unwrap_or(Ended::CutOff)).max()
        });
        let replays = async {
            match &self.admin {
                Some(admin) => admin.finish().await,
                None => Ended::Drained,
            }
        };
        let (left, replayed) = tokio::join!(
            tokio::time::timeout_at(deadline.into(), all),
            tokio::time::timeout_at(deadline.into(), replays)
        );
        if let Ok(Ok(Some(worst))) = left {
            ended = worst;
        }
        ended = ended.max(replayed.unwrap_or(Ended::CutOff));
        if let Some(member) = &self.fleet {
            member.leave().await;
        }
        drop(self.fleet);
        self.control.finish().await;
        match (failure, ended) {
            (Some(reason), _) => Stopped::Failed(reason),
            (None, Ended::Drained) => Stopped::Drained,
            (None, Ended::CutOff) => Stopped::CutOff,
        }
    }
}

/// Without knowing them a worker might leave some unread.
async fn topics_there(kafka: &KafkaClient) -> Result<BTreeSet<String>, String> {
    let kafka = kafka.clone();
    let names = tokio::task::spawn_blocking(move || topic_names(&kafka)).await;
    let names = names.map_err(|_| "the call was cut off".to_owned());
    names.and_then(|names| names.map_err(|fault| fault.to_string()))
}

/// These services as members of their fleets, where there is a topic for it.
fn fleet(
    settings: &Settings,
    parts: &Parts,
    services: &[Running],
    producer: Arc<dyn Producer>,
    board: Board,
    control: &Handle,
) -> Option<Member> {
    let (topic, group) = (settings.topics.control.clone()?, services.first()?.run.group().to_owned());
    let at_work =
        |running: &Running| fleet::AtWork { run: Arc::clone(&running.run), topics: running.topics.clone() };
    let stage = fleet::Stage {
        source: fleet::Source { kafka: parts.kafka.clone(), group, topic },
        host: hostname(),
        services: services.iter().map(at_work).collect(),
        producer,
        health: parts.health.clone(),
        board,
    };
    Some(Member::start(stage, control))
}
