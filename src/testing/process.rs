//! One process: a service at work on all partitions, from its start to its end.

use std::{collections::BTreeMap, sync::Arc};

use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    Moment,
    fate::State,
    handler::Watched,
    producer::LinedProducer,
    store::LinedStore,
    world::{Seam, World},
};
use crate::{
    Record, Service,
    config::Settings,
    erased::ErasedHandler,
    pipeline::{Crowd, How, Partition, Told, Topic},
    store::OwnerFactory,
    telemetry::{Health, Metrics},
    worker::Assembly,
};

/// The number of a partition's only assignment in a process.
const EPOCH: u64 = 1;

#[derive(Debug)]
pub(super) struct Process {
    pub(super) seam: Seam,
    topics: BTreeMap<Arc<str>, Arc<Topic>>,
    partitions: BTreeMap<(Arc<str>, i32), Arc<Partition>>,
    renewals: JoinHandle<()>,
}

impl Process {
    pub(super) fn start(service: &Service, settings: &Settings, world: &Arc<World>) -> Self {
        let seam = Seam::new(Arc::clone(world));
        let assembly = Assembly {
            settings,
            store: Arc::new(LinedStore(seam.clone())),
            producer: Arc::new(LinedProducer(seam.clone())),
            metrics: Metrics::new(),
            health: Health::default(),
            crowd: Crowd::default(),
            owners: OwnerFactory::new(),
            control: Handle::current(),
            clock: world.clock,
            // The longest delays, so that every run is the same.
            chance: || 1.0,
            told: Some(told(&seam)),
            // What is tried later waits in its lane, where time passes at once.
            sends_on: false,
            replay: None,
        };
        let run = assembly.run(service);
        let watched =
            |handler| -> Arc<dyn ErasedHandler> { Arc::new(Watched { handler, seam: seam.clone() }) };
        let topics: Vec<Arc<Topic>> = service
            .table()
            .tables()
            .into_iter()
            .map(|(topic, table)| Arc::new(assembly.topic(&run, topic, table.map(watched))))
            .collect();
        let renewals = assembly.keep_claims_alive(&run, &topics);
        let topics = topics.into_iter().map(|topic| (Arc::clone(&topic.name), topic)).collect();
        Self { seam, topics, partitions: BTreeMap::new(), renewals }
    }

    pub(super) fn state(&self) -> State {
        self.seam.fate.state()
    }

    /// Takes in what it has not read yet.
    pub(super) fn read(&mut self) {
        let broker = &self.seam.world.things().broker;
        for name in broker.partitions() {
            let Some(topic) = self.topics.get(&name.0) else { continue };
            let partition = self.partitions.entry(name.clone()).or_insert_with(|| {
                let position = broker.committed(&name.0, name.1);
                Partition::new(Arc::clone(topic), name.1, EPOCH, position, Handle::current())
            });
            partition.take(broker.from(&name, partition.next_offset()));
        }
    }

    /// Commits what is finished.
    pub(super) fn commit(&self) {
        for (name, partition) in &self.partitions {
            let watermark = partition.watermark();
            if watermark <= self.seam.world.things().broker.committed(&name.0, name.1) {
                continue;
            }
            self.seam.strike(Moment::BeforeCommit);
            if self.state() != State::Alive {
                return;
            }
            self.seam.world.things().broker.commit(name, watermark);
        }
    }

    /// It stood still and finds that its partitions are gone: what runs may finish, nothing else begins.
    pub(super) async fn wake(self) {
        self.partitions.values().for_each(|partition| partition.stop());
        self.seam.fate.turn(State::Alive);
        for partition in self.partitions.values() {
            tokio::select! {
                () = partition.stopped() => {}
                () = self.seam.fate.until(|state| state != State::Alive) => return,
            }
        }
    }
}

/// Whatever is left of it can reach nothing any more.
impl Drop for Process {
    fn drop(&mut self) {
        self.seam.fate.turn(State::Dead);
        self.renewals.abort();
        self.partitions.values().for_each(|partition| partition.stop());
    }
}

/// Takes note of what is settled while the process lives.
fn told(seam: &Seam) -> Told {
    let seam = seam.clone();
    Arc::new(move |_: &Record, how: How| {
        if seam.fate.state() == State::Alive {
            seam.world.things().outcomes.push(how);
            seam.world.news.notify_one();
        }
    })
}

#[cfg(test)]
#[path = "feeding_tests.rs"]
mod feeding_tests;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{Routes, prelude::*};

    struct Note;

    impl Handler for Note {
        const NAME: &'static str = "note";
        type Event = String;

        fn dedupe_key(&self, event: &String, _: &Metadata) -> DedupeKey {
            DedupeKey::of(event)
        }

        async fn handle(&self, _: &String, _: &Context) -> Outcome {
            done()
        }
    }

    #[tokio::test]
    async fn what_is_tried_later_is_as_old_as_it_is_overdue() {
        let service = Service::new("notes").routes(Routes::new().on("notes", Note));
        let process = Process::start(&service, &Settings::default(), &World::new());
        let topic = &process.topics["notes"];
        let later = topic.of_copies("notes.notes.retry.1h".to_owned(), Some(Duration::from_secs(3600)));
        for (topic, since) in [(Arc::clone(topic), 1_000), (Arc::new(later), 3_601_000)] {
            let (value, timestamp) = (Some("\"a\"".into()), Some(1_000));
            let name = Arc::clone(&topic.name);
            let record =
                Record { topic: name, partition: 0, offset: 0, timestamp, key: None, value, headers: vec![] };
            let partition = Partition::new(topic, 0, EPOCH, 0, Handle::current());
            partition.take([record]);
            assert_eq!(partition.oldest_timestamp(), Some(since));
            partition.stop();
        }
    }
}
