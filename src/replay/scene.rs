//! The service, as its events find it.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Mode, Order,
    judge::Judge,
    notes::{Notes, What},
    plan::Plan,
    replayer::{ReplayError, Replayer, blocking},
};
use crate::{
    kafka::RecordProducer,
    ledger::{Keeper, Ledger},
    pipeline::{Epoch, Pace, Replaying, ServiceRun, Topic},
    store::{Clock, DedupeStore, OwnerFactory, StoreFault},
    telemetry::{Health, Metrics},
    worker::{Assembly, ledger_of, memory},
};

pub(super) struct Scene<'a> {
    pub(super) assembly: Assembly<'a>,
    pub(super) judge: Judge,
    pub(super) topics: Vec<Arc<Topic>>,
}

impl Replayer<'_> {
    /// The service, as the pipeline has it when it replays, or as the live group has it.
    pub(super) async fn scene(
        &self,
        replaying: Option<Replaying>,
        notes: Arc<Notes>,
    ) -> Result<Scene<'_>, ReplayError> {
        self.scene_on(Arc::clone(&self.store), replaying, notes).await
    }

    /// The service as it replays this order, with the claims of this store, and with the ledger where the order reaches
    /// beyond the store's memory.
    pub(super) async fn replaying(
        &self,
        store: Arc<dyn DedupeStore>,
        order: &Order,
        plan: &Plan,
        notes: Arc<Notes>,
    ) -> Result<Scene<'_>, ReplayError> {
        let replay = replaying(order, plan, &*store, &self.group()).await?;
        let mut scene = self.scene_on(store, Some(replay), notes).await?;
        if [order.from, order.to].into_iter().any(|end| !scene.judge.is_remembered(end.time())) {
            scene.judge.ledger = self.ledger().await?;
        }
        Ok(scene)
    }

    /// The same, claims of which are those of another store.
    async fn scene_on(
        &self,
        store: Arc<dyn DedupeStore>,
        replaying: Option<Replaying>,
        notes: Arc<Notes>,
    ) -> Result<Scene<'_>, ReplayError> {
        let memory = memory::Memory::of(self.service, self.settings);
        let sources = memory::sources(self.service, self.settings);
        let is_new = memory::is_new(&self.kafka, &memory.group, &sources);
        let is_new = is_new.await.map_err(|fault| ReplayError::Trouble(format!("Kafka: {fault}")))?;
        let horizons = memory.horizons(&*store, is_new).await?;
        let producer = RecordProducer::new(self.kafka.clone(), self.settings.dead_letter.delivery_timeout);
        let producer = producer.map_err(|fault| ReplayError::Trouble(fault.to_string()))?;
        let assembly = Assembly {
            settings: self.settings,
            store: Arc::clone(&store),
            producer: Arc::new(producer),
            metrics: Metrics::new(),
            health: Health::default(),
            crowd: self.crowd.clone(),
            owners: OwnerFactory::new(),
            control: self.control.clone(),
            clock: Clock::System,
            chance: rand::random,
            told: Some(Arc::new(move |record, how| {
                notes.add(&record.topic, record.partition, record.offset, What::Settled(how));
            })),
            replay: replaying.map(Arc::new),
        };
        let _entered = self.handlers.enter();
        let service: Arc<ServiceRun> = assembly.run(self.service);
        let topic = |(topic, table)| Arc::new(assembly.topic(&service, topic, table));
        let topics = self.service.table().tables().into_iter().map(topic).collect();
        // A live group asks the store alone.
        let judge = Judge { service, store, memory, is_new, horizons: horizons.into(), ledger: None };
        Ok(Scene { assembly, judge, topics })
    }

    /// What the store may have forgotten, where it is written down. Read once.
    async fn ledger(&self) -> Result<Option<Arc<Ledger>>, ReplayError> {
        let Some(topic) = ledger_of(self.service, self.settings) else { return Ok(None) };
        let read = async || {
            let keeper = Keeper::new(self.settings, self.service, &self.kafka);
            let keeper = keeper.map_err(|fault| ReplayError::Trouble(format!("Kafka: {fault}")))?;
            let noted = keeper.noted(&*self.store).await?;
            let (client, group, topic) = (self.kafka.clone(), self.group(), Arc::from(topic.as_str()));
            let cancel = self.cancel.clone();
            let read = move || Ledger::read(&client, &group, &topic, &noted, &cancel);
            let ledger = blocking(read).await?.map_err(|error| ReplayError::Trouble(error.to_string()))?;
            tracing::info!(events = ledger.len(), "the ledger is read");
            Ok(Arc::new(ledger))
        };
        self.ledger.get_or_try_init(read).await.cloned().map(Some)
    }
}

/// What is different in a replay of this order.
async fn replaying(
    order: &Order,
    plan: &Plan,
    store: &dyn DedupeStore,
    group: &str,
) -> Result<Replaying, StoreFault> {
    let epoch = match &order.mode {
        Mode::Force { epoch, new_keys } => Some(Epoch { name: epoch.clone(), new_keys: *new_keys }),
        Mode::SkipDone | Mode::Verify => None,
    };
    let mut met = BTreeMap::new();
    for planned in &plan.topics {
        let began = store.anchors(group, &planned.topic).await?.started;
        met.extend(planned.committed.iter().filter_map(|(partition, committed)| {
            let began = *began.get(partition)?;
            Some(((planned.topic.to_string(), *partition), began..*committed))
        }));
    }
    Ok(Replaying { epoch, pace: order.rate.map(Pace::of), met })
}
