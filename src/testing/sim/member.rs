//! A pod at work: the pipeline as a worker assembles it, and what its polling thread does.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    time::{self, Instant},
};

use super::{
    Broken,
    dice::jitter,
    group::Membership,
    handler::Effect,
    history::{Place, What},
    plan::LEASE,
    pod::Seam,
    producer::Letters,
    store::Claims,
    world::{Line, SERVICE, TOPIC},
};
use crate::{
    Record, Routes, Service,
    config::{Ordering, Settings},
    pipeline::{Bounds, Crowd, How, Partition, Told, Topic},
    store::OwnerFactory,
    telemetry::{Health, Metrics},
    worker::Assembly,
};

/// How long partitions that are taken away, and a pod that ends, wait for what runs.
const DRAIN: Duration = Duration::from_secs(2);
const COMMIT_EVERY: Duration = Duration::from_millis(700);
/// Between two looks where nothing moves.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// Longer than any schedule.
const NEVER: Duration = Duration::from_secs(86_400);
const BOUNDS: Bounds = Bounds { records: 6, bytes: 1 << 20 };

/// Nobody looks at them, and making them takes longer than a schedule.
static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

struct Running {
    partition: Arc<Partition>,
    /// The last position that was committed, as far as the pod knows.
    stored: Option<i64>,
}

struct Member {
    seam: Seam,
    topic: Arc<Topic>,
    running: BTreeMap<usize, Running>,
}

/// Works until the pod ends.
pub(super) async fn run(seam: Seam) {
    let world = Arc::clone(&seam.world);
    let service = Service::new(SERVICE).routes(Routes::new().on(TOPIC, Effect(seam.clone())));
    let settings = settings(world.plan.concurrency, world.broken);
    let assembly = Assembly {
        settings: &settings,
        store: Arc::new(Claims(seam.clone())),
        producer: Arc::new(Letters(seam.clone())),
        metrics: METRICS.clone(),
        health: Health::default(),
        crowd: Crowd::default(),
        owners: OwnerFactory::of_process(seam.pod.into()),
        control: Handle::current(),
        clock: world.clock,
        chance: jitter,
        told: Some(told(&seam)),
        sends_on: false,
        replay: None,
    };
    let run = assembly.run(&service);
    let tables = service.table().tables().into_iter();
    let topics: Vec<_> = tables.map(|(topic, table)| Arc::new(assembly.topic(&run, topic, table))).collect();
    let renewals = assembly.keep_claims_alive(&run, &topics);
    drop(assembly);
    let [topic] = &topics[..] else { return };
    let mut member = Member { topic: Arc::clone(topic), running: BTreeMap::new(), seam };
    member.seam.step().await;
    world.join(member.seam.pod);
    let mut next_commit = Instant::now() + COMMIT_EVERY;
    loop {
        member.seam.step().await;
        if member.seam.leaves.is_cancelled() {
            break;
        }
        member.follow().await;
        member.fetch();
        if Instant::now() >= next_commit {
            member.commit().await;
            next_commit = Instant::now() + COMMIT_EVERY;
        }
        let look = if member.moves() { next_commit } else { Instant::now() + LOOK_AGAIN };
        tokio::select! {
            biased;
            () = member.seam.bell.notified() => {}
            () = time::sleep_until(look) => {}
        }
    }
    member.end().await;
    renewals.abort();
}

fn settings(concurrency: usize, broken: Option<Broken>) -> Settings {
    let mut settings = Settings::default();
    settings.dedupe.lease = LEASE;
    settings.worker.concurrency = concurrency;
    settings.worker.handler_timeout = Duration::from_secs(7);
    settings.retry.max_attempts = Some(3);
    settings.retry.initial_delay = Some(Duration::from_millis(200));
    settings.retry.max_delay = Some(Duration::from_secs(1));
    // Few events, often the same ones: what looks like an outage must end within a schedule.
    settings.breaker.minimum = 4;
    settings.breaker.recover = 2;
    settings.breaker.patience = Duration::from_secs(20);
    if broken == Some(Broken::NeverProbes) {
        settings.breaker.probe_every = NEVER;
    }
    if broken == Some(Broken::OneLaneForEach) {
        settings.worker.ordering = Ordering::None;
    }
    settings
}

/// What is settled may be committed, and makes room.
fn told(seam: &Seam) -> Told {
    let bell = Arc::clone(&seam.bell);
    Arc::new(move |_: &Record, _: How| bell.notify_one())
}

impl Member {
    /// Does what the group says: gives up what was taken away, takes what was assigned.
    async fn follow(&mut self) {
        let (pod, world) = (self.seam.pod, Arc::clone(&self.seam.world));
        match world.membership(pod) {
            Membership::Unaware => return,
            // Nothing is committed: it belongs to others.
            Membership::Lost => {
                let all: Vec<usize> = self.running.keys().copied().collect();
                self.forget(&all);
                world.join(pod);
            }
            Membership::Member => {}
        }
        let unwanted = |partition: &usize| !world.things().group.is_wanted(pod, *partition);
        let revoked: Vec<usize> = self.running.keys().copied().filter(unwanted).collect();
        if !revoked.is_empty() {
            self.drain(&revoked).await;
            self.commit().await;
            self.forget(&revoked);
        }
        for partition in 0..world.plan.partitions {
            if !self.running.contains_key(&partition) {
                self.take(partition);
            }
        }
    }

    fn take(&mut self, partition: usize) {
        let world = &self.seam.world;
        let mut things = world.things();
        if !things.group.take(self.seam.pod, partition) {
            return;
        }
        things.last_epoch += 1;
        let (epoch, from) = (things.last_epoch, things.committed[partition]);
        drop(things);
        world.happen(What::Assigned { pod: self.seam.pod, partition, from });
        let number = i32::try_from(partition).unwrap_or(0);
        let begun = Partition::new(Arc::clone(&self.topic), number, epoch, from, Handle::current());
        self.running.insert(partition, Running { partition: begun, stored: None });
    }

    /// Waits for what runs, for a while.
    async fn drain(&self, partitions: &[usize]) {
        let running: Vec<_> = partitions.iter().filter_map(|partition| self.running.get(partition)).collect();
        running.iter().for_each(|running| running.partition.stop());
        let all = async {
            for running in &running {
                running.partition.stopped().await;
            }
        };
        // Whatever still runs then keeps its claim.
        drop(time::timeout(DRAIN, all).await);
        self.seam.step().await;
    }

    fn forget(&mut self, partitions: &[usize]) {
        for partition in partitions {
            if let Some(running) = self.running.remove(partition) {
                running.partition.stop();
                self.seam.world.things().group.give_up(self.seam.pod, *partition);
                self.seam.world.happen(What::Revoked { pod: self.seam.pod, partition: *partition });
            }
        }
        // Whoever waits for them may take them now.
        self.seam.world.wake_all();
    }

    fn fetch(&self) {
        for (partition, running) in &self.running {
            let next = running.partition.next_offset();
            let room = running.partition.room(BOUNDS).records;
            let records: Vec<Record> = {
                let mut things = self.seam.world.things();
                let some = if things.is_calm { room } else { 1 + things.dice.below(room) };
                let log = &things.log[*partition];
                log.iter().skip(usize::try_from(next).unwrap_or(0)).take(some.min(room)).cloned().collect()
            };
            for record in &records {
                self.seam.world.happen(What::Fetched(self.seam.pod, Place(*partition, record.offset)));
            }
            if records.len() < room {
                // There may be more.
                running.partition.take(records);
            } else if !records.is_empty() {
                running.partition.take(records);
                self.seam.bell.notify_one();
            }
        }
    }

    /// Whether there is something to commit.
    fn moves(&self) -> bool {
        self.running
            .values()
            .any(|running| running.stored.is_none_or(|stored| stored < self.position(running)))
    }

    fn position(&self, running: &Running) -> i64 {
        match self.seam.world.broken {
            Some(Broken::CommitsHighest) => running.partition.next_offset(),
            _ => running.partition.watermark(),
        }
    }

    /// Commits the watermarks that have moved.
    async fn commit(&mut self) {
        let positions = self.running.iter().map(|(partition, running)| (*partition, self.position(running)));
        let mut moved: Vec<(usize, i64)> = positions.collect();
        moved.retain(|(partition, offset)| match self.running.get_mut(partition) {
            Some(running) if running.stored.is_none_or(|stored| stored < *offset) => {
                running.stored = Some(*offset);
                true
            }
            _ => false,
        });
        if moved.is_empty() {
            return;
        }
        self.seam.step().await;
        // One connection carries them in order: late ones do not come after the next.
        let line = self.seam.world.line(false);
        let is_committed = !matches!(line, Line::RequestLost) && self.arrive(&moved);
        self.seam.step().await;
        if !is_committed || line != Line::Fine {
            for (partition, _) in moved {
                if let Some(running) = self.running.get_mut(&partition) {
                    running.stored = None;
                }
            }
        }
    }

    /// The broker looks at who is a member, and not at who owns what.
    fn arrive(&self, moved: &[(usize, i64)]) -> bool {
        let (pod, world) = (self.seam.pod, &self.seam.world);
        if !world.things().group.is_member(pod) {
            world.happen(What::CommitRefused { pod });
            return false;
        }
        for (partition, offset) in moved.iter().copied() {
            let is_owner = world.things().group.is_owner(pod, partition);
            world.happen(What::Committed { pod, partition, offset, is_owner });
            world.things().committed[partition] = offset;
        }
        world.news.notify_one();
        true
    }

    /// A polite end: what runs may finish, for a while.
    async fn end(&mut self) {
        let all: Vec<usize> = self.running.keys().copied().collect();
        self.drain(&all).await;
        self.commit().await;
        self.forget(&all);
        self.seam.world.quit(self.seam.pod);
        self.seam.die();
    }
}
