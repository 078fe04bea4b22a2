//! The service, as its events find it.

use std::sync::Arc;

use super::{
    Mode, Order,
    judge::Judge,
    notes::{Notes, What},
    plan::Plan,
    replayer::{ReplayError, Replayer},
};
use crate::{
    kafka::RecordProducer,
    pipeline::{Epoch, Replaying, ServiceRun, Topic},
    store::{Clock, DedupeStore, OwnerFactory},
    telemetry::{Health, Metrics},
    worker::{Assembly, memory},
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

    /// The same, claims of which are those of another store.
    pub(super) async fn scene_on(
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
        let judge = Judge { service, store, horizons };
        Ok(Scene { assembly, judge, topics })
    }
}

/// What is different in a replay of this order.
pub(super) fn replaying(order: &Order, plan: &Plan) -> Replaying {
    let epoch = match &order.mode {
        Mode::Force { epoch, new_keys } => Some(Epoch { name: epoch.clone(), new_keys: *new_keys }),
        Mode::SkipDone | Mode::Verify => None,
    };
    let committed = plan.topics.iter().flat_map(|planned| {
        planned.committed.iter().map(|(partition, offset)| ((planned.topic.to_string(), *partition), *offset))
    });
    Replaying { epoch, committed: committed.collect() }
}
