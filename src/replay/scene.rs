//! The service, as its events find it.

use std::{collections::BTreeMap, sync::Arc};

use super::{Mode, Order, ReplayError, judge::Judge, notes::Notes, plan::Plan, replayer::Replayer};
use crate::{
    Record,
    kafka::RecordProducer,
    ledger::{Book, Keeper},
    pipeline::{Epoch, Pace, Replaying, ServiceRun, Topic},
    store::{Clock, DedupeStore, OwnerFactory, Reach, Reached, StoreFault},
    telemetry::Health,
    worker::{
        Assembly, ledger_of,
        memory::{self, Begun, Memory},
    },
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

    /// The service as it replays this order, with the claims of this store.
    pub(super) async fn replaying(
        &self,
        store: Arc<dyn DedupeStore>,
        order: &Order,
        plan: &Plan,
        notes: Arc<Notes>,
    ) -> Result<Scene<'_>, ReplayError> {
        let replay = replaying(order, plan, &*store, &self.group()).await?;
        self.scene_on(store, Some(replay), notes).await
    }

    /// The same, claims of which are those of another store.
    async fn scene_on(
        &self,
        store: Arc<dyn DedupeStore>,
        replaying: Option<Replaying>,
        notes: Arc<Notes>,
    ) -> Result<Scene<'_>, ReplayError> {
        let epoch =
            replaying.as_ref().and_then(|replay| replay.epoch.as_ref()).map(|epoch| epoch.name.clone());
        let (memories, reach) = self.memories(&*store, epoch).await?;
        let reach = Arc::new(Reach::new(reach));
        let replay = replaying.map(|replay| Arc::new(replay.within(Arc::clone(&reach))));
        let producer = RecordProducer::new(self.kafka.clone(), self.settings.dead_letter.delivery_timeout);
        let producer = producer.map_err(|fault| ReplayError::Trouble(fault.to_string()))?;
        let told = {
            let replay = replay.clone();
            move |record: &Record, how| {
                notes.settled(&record.topic, record.partition, record.offset, how);
                if let Some(replay) = &replay {
                    replay.settled(record);
                }
            }
        };
        let assembly = Assembly {
            settings: self.settings,
            store: Arc::clone(&store),
            producer: Arc::new(producer),
            metrics: self.metrics.clone(),
            health: Health::default(),
            crowd: self.crowd.clone(),
            owners: OwnerFactory::new(),
            control: self.control.clone(),
            clock: Clock::System,
            chance: rand::random,
            told: Some(Arc::new(told)),
            sends_on: false,
            replay,
        };
        let _entered = self.handlers.enter();
        let service: Arc<ServiceRun> = assembly.run(self.service);
        let topic = |(topic, table)| Arc::new(assembly.topic(&service, topic, table));
        let topics = self.service.table().tables().into_iter().map(topic).collect();
        let keeper = Keeper::new(self.settings, self.service, &self.kafka);
        let keeper = keeper.map_err(|fault| ReplayError::Trouble(format!("Kafka: {fault}")))?;
        // A live group asks the store alone.
        let book = assembly.replay.as_ref().and_then(|_| self.book());
        let judge = Judge { service, store, memories, keeper, reach, book };
        Ok(Scene { assembly, judge, topics })
    }

    /// What is remembered of the events' own time and of the run over everything, if this is one; how far the last of
    /// these reaches.
    async fn memories(
        &self,
        store: &dyn DedupeStore,
        epoch: Option<String>,
    ) -> Result<(Vec<Begun>, Reached), ReplayError> {
        let past = memory::past(self.service, self.settings, &self.kafka);
        let group = Memory::of(self.service, self.settings);
        let epoch = epoch.map(|epoch| Memory { epoch: Some(epoch), ..group.clone() });
        let (mut begun, mut reach) = (Vec::new(), Reached::default());
        for memory in [Some(group), epoch].into_iter().flatten() {
            let is_new = past.is_new(&memory, store).await?;
            reach = memory.reach(store, is_new).await?;
            begun.push(Begun { memory, is_new });
        }
        Ok((begun, reach))
    }

    /// What the store may have forgotten, where it is written down. Read when it is needed.
    fn book(&self) -> Option<Arc<Book>> {
        let topic = ledger_of(self.service, self.settings)?;
        let book = || {
            let (client, group, cancel) = (self.kafka.clone(), self.group(), self.cancel.clone());
            let (topic, tell) = (Arc::from(topic.as_str()), Arc::clone(&self.tell));
            Arc::new(Book { client, group, topic, cancel, tell, ledger: Default::default() })
        };
        Some(Arc::clone(self.book.get_or_init(book)))
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
    Ok(Replaying::new(epoch, order.rate.map(Pace::of), met))
}
