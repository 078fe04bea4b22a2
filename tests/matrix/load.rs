//! Load that goes on while pods come and go, and how long each partition had to wait.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::task::JoinHandle;

use crate::support::{
    kafka::{Record, TestTopic, all_committed},
    ledger::Effects,
    pod::Pods,
};

/// Between two records of a partition.
const PACE: Duration = Duration::from_millis(50);
/// Between two looks at what took effect: how exact a pause is known.
const LOOK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(120);

/// Records for every partition of a topic, one after the other, until it ends.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    produced: JoinHandle<usize>,
    pauses: JoinHandle<BTreeMap<String, Duration>>,
}

impl Load {
    /// Begins. Each event takes 20 ms; ten keys for each partition.
    pub(crate) async fn on(topic: &TestTopic, pods: &Pods) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let partitions = topic.partitions().await.unwrap();
        let topic = TestTopic::named(topic.name());
        let produced = tokio::spawn(produce(topic, partitions, Arc::clone(&stop)));
        let pauses = tokio::spawn(watch(pods.effects(), Arc::clone(&stop)));
        Load { stop, produced, pauses }
    }

    /// Ends. Waits until everything is committed, sees to it that every event took effect exactly once, and answers
    /// with the longest time that any partition went without an effect.
    pub(crate) async fn ends_well(self, topic: &TestTopic, pods: &Pods) -> Duration {
        self.stop.store(true, Relaxed);
        let (produced, pauses) = (self.produced.await.unwrap(), self.pauses.await.unwrap());
        all_committed(&pods.group, topic, PATIENCE).await;
        let counts = pods.effects().counts();
        assert_eq!(counts.len(), produced, "lost");
        let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "doubled: {doubled:?}");
        assert_eq!(pods.attempts().all().len(), produced, "no handler was cut off");
        pauses.into_values().max().unwrap()
    }
}

async fn produce(topic: TestTopic, partitions: i32, stop: Arc<AtomicBool>) -> usize {
    let mut round = 0;
    let mut pace = tokio::time::interval(PACE);
    while !stop.load(Relaxed) {
        pace.tick().await;
        let record = |partition| {
            let event = format!(r#"{{"id":"{partition}:{round}","sleep_ms":20}}"#);
            Record::new(format!("{partition}-{}", round % 10), event).to(partition)
        };
        topic.produce_all((0..partitions).map(record)).await;
        round += 1;
    }
    round * partitions as usize
}

/// The longest time between two effects of each partition.
async fn watch(effects: Effects, stop: Arc<AtomicBool>) -> BTreeMap<String, Duration> {
    let (mut seen, mut last, mut longest) = (0, BTreeMap::<String, Instant>::new(), BTreeMap::new());
    while !stop.load(Relaxed) {
        tokio::time::sleep(LOOK).await;
        let (all, now) = (effects.all(), Instant::now());
        for effect in &all[seen..] {
            let partition = effect.id.split(':').next().unwrap().to_owned();
            let gap = last.insert(partition.clone(), now).map_or(Duration::ZERO, |before| now - before);
            let longest: &mut Duration = longest.entry(partition).or_default();
            *longest = gap.max(*longest);
        }
        seen = all.len();
    }
    let now = Instant::now();
    for (partition, last) in last {
        let longest: &mut Duration = longest.entry(partition).or_default();
        *longest = (now - last).max(*longest);
    }
    longest
}
