//! The membership in a consumer group: what happens when partitions are assigned and revoked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::runtime::Handle;

use super::{
    assignment::{Assignment, Name, Running, list},
    positions::{Position, Positions},
    start::Start,
    watcher::Watcher,
};
use crate::{
    pipeline::{Bounds, Partition, Route, ServiceRun, age},
    telemetry::metrics::{CommitOutcome, Component, RebalanceKind},
};

/// Assignments are counted over the whole process, so that an epoch names one of them for ever.
static EPOCHS: AtomicU64 = AtomicU64::new(1);
/// How long a seek may take.
const SEEK: Duration = Duration::from_secs(10);

pub(crate) type GroupConsumer = BaseConsumer<Group>;

/// The context of a consumer: its callbacks run inside of `poll`, on the one thread that polls.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) service: Arc<ServiceRun>,
    pub(crate) routes: HashMap<String, Arc<Route>>,
    pub(crate) positions: Positions,
    /// Of the whole service, shared out among its partitions.
    pub(crate) bounds: Bounds,
    /// How long revoked partitions may finish what runs.
    pub(crate) drain_timeout: Duration,
    pub(crate) runtime: Handle,
    pub(crate) watcher: Watcher,
    pub(crate) assignment: Mutex<Assignment>,
    /// Something was assigned: what has to be looked after should not wait for its time.
    pub(crate) look_now: AtomicBool,
}

impl Group {
    pub(super) fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &GroupConsumer, assigned: &TopicPartitionList) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::new();
        let mut starts = Vec::new();
        for (topic, partitions) in by_topic(&names(assigned)) {
            let positions = self.positions.resolve(consumer, &topic, &partitions);
            for partition in partitions {
                let start = match &positions {
                    Ok(positions) => begin_or_hold(&positions[&partition]),
                    Err(why) => Err(why.clone()),
                };
                // A held partition is assigned somewhere; it moves before it is resumed.
                let offset = start.as_ref().map_or(Offset::Beginning, |(offset, _)| Offset::Offset(*offset));
                offsets.add_partition_offset(&topic, partition, offset)?;
                starts.push(((Arc::clone(&topic), partition), start));
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&offsets)?,
            _ => consumer.assign(&offsets)?,
        }
        // All of them begin paused; those that may are resumed at once by the loop that polls.
        consumer.pause(assigned)?;
        let mut assignment = self.assignment();
        for (name, start) in starts {
            match start {
                Ok((offset, position)) => self.begin(&mut assignment, name, offset, &position),
                Err(why) => self.hold(&mut assignment, name, why),
            }
        }
        self.service.status.health.joined(true);
        self.service.status.metrics.rebalance(RebalanceKind::Assigned);
        self.look_now.store(true, Relaxed);
        Ok(())
    }

    fn begin(&self, assignment: &mut Assignment, name: Name, offset: i64, position: &Position) {
        let (topic, partition) = (&name.0, name.1);
        let Some(route) = self.routes.get(&**topic) else { return };
        let epoch = EPOCHS.fetch_add(1, Relaxed);
        tracing::info!(%topic, partition, offset, "assigned");
        self.service.status.health.resume(topic, partition);
        let begun = Partition::new(Arc::clone(route), partition, epoch, offset, self.runtime.clone());
        assignment.held.remove(&name);
        let metrics = self.service.status.metrics.partition(topic, partition);
        assignment.running.insert(name.clone(), Running::new(begun, metrics, position));
    }

    fn hold(&self, assignment: &mut Assignment, name: Name, why: String) {
        let (topic, partition) = (&name.0, name.1);
        if assignment.held.get(&name) != Some(&why) {
            tracing::error!(%topic, partition, %why, "paused: where to begin is not known");
            self.service.status.metrics.fault(Component::Kafka);
        }
        self.service.status.health.pause(topic, partition, &why);
        assignment.held.insert(name, why);
    }

    /// Asks again where the held partitions begin, and lets those begin that can.
    pub(super) fn retry_held(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let held: Vec<Name> = self.assignment().held.keys().cloned().collect();
        for (topic, partitions) in by_topic(&held) {
            let positions = match self.positions.resolve(consumer, &topic, &partitions) {
                Ok(positions) => positions,
                Err(why) => {
                    tracing::warn!(%topic, %why, "still paused");
                    continue;
                }
            };
            for (partition, position) in positions {
                let name = (Arc::clone(&topic), partition);
                match begin_or_hold(&position) {
                    Ok((offset, position)) => {
                        consumer.seek(&topic, partition, Offset::Offset(offset), SEEK)?;
                        self.begin(&mut self.assignment(), name, offset, &position);
                    }
                    Err(why) => self.hold(&mut self.assignment(), name, why),
                }
            }
        }
        Ok(())
    }

    /// A position was not in its log any more: finds out which, and holds those partitions.
    pub(super) fn hold_what_is_lost(&self, consumer: &GroupConsumer) -> KafkaResult<()> {
        let positions = consumer.position()?;
        let mut assignment = self.assignment();
        let running: Vec<Name> = assignment.running.keys().cloned().collect();
        for name in running {
            let (topic, partition) = (&name.0, name.1);
            let next = match positions.find_partition(topic, partition).map(|element| element.offset()) {
                Some(Offset::Offset(next)) => next,
                _ => assignment.running[&name].partition.next_offset(),
            };
            if !Positions::is_in_log(consumer, topic, partition, next)? {
                consumer.pause(&list([(&**topic, partition)]))?;
                self.end(&mut assignment, &name);
                self.hold(
                    &mut assignment,
                    name,
                    format!("offset {next}, which is next, is not in the log any more"),
                );
            }
        }
        Ok(())
    }

    /// Remembers in the store that partitions have begun, once Kafka has their first offset.
    pub(super) fn write_anchors(&self, assignment: &mut Assignment) {
        let mut due: BTreeMap<_, Vec<(i32, i64)>> = BTreeMap::new();
        for ((topic, partition), running) in &assignment.running {
            if let Some(partitions) = running.anchor_due {
                let started = due.entry((Arc::clone(topic), partitions)).or_default();
                started.push((*partition, running.partition.watermark()));
            }
        }
        for ((topic, partitions), started) in due {
            if let Err(why) = self.positions.anchor(&topic, partitions, &started) {
                tracing::debug!(%topic, %why, "not remembered yet");
                continue;
            }
            for (partition, _) in started {
                let name = (Arc::clone(&topic), partition);
                if self.positions.accepted(&topic, partition).is_ok()
                    && let Some(running) = assignment.running.get_mut(&name)
                {
                    running.anchor_due = None;
                }
            }
        }
    }

    /// Stops these partitions, waits for what runs, commits what is settled, and lets them go.
    fn revoke(&self, consumer: &GroupConsumer, revoked: &TopicPartitionList) -> KafkaResult<()> {
        let lost = consumer.assignment_lost();
        let names = names(revoked);
        if !lost {
            self.drain(consumer, &names);
        }
        let mut assignment = self.assignment();
        for name in &names {
            tracing::info!(topic = %name.0, partition = name.1, lost, "revoked");
            self.end(&mut assignment, name);
            assignment.held.remove(name);
            self.service.status.health.resume(&name.0, name.1);
        }
        drop(assignment);
        let kind = if lost { RebalanceKind::Lost } else { RebalanceKind::Revoked };
        self.service.status.metrics.rebalance(kind);
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(revoked),
            _ => consumer.unassign(),
        }
    }

    /// Bounded: the whole group waits. What still runs afterwards keeps its claim, and whoever gets the
    /// partition waits for that claim instead of running the handler a second time.
    fn drain(&self, consumer: &GroupConsumer, names: &[Name]) {
        let partitions: Vec<Arc<Partition>> = {
            let assignment = self.assignment();
            names
                .iter()
                .filter_map(|name| Some(Arc::clone(&assignment.running.get(name)?.partition)))
                .collect()
        };
        partitions.iter().for_each(|partition| partition.stop());
        let deadline = Instant::now() + self.drain_timeout;
        for partition in &partitions {
            while !partition.is_stopped() && Instant::now() < deadline {
                self.service.status.health.tick();
                let moment =
                    Duration::from_millis(500).min(deadline.saturating_duration_since(Instant::now()));
                // Out of time or not, the next turn of the loop looks again.
                drop(
                    self.runtime.block_on(async { tokio::time::timeout(moment, partition.stopped()).await }),
                );
            }
        }
        crate::crash::crash_point("in_revoke");
        if let Err(error) = self.assignment().commit(consumer, CommitMode::Sync) {
            self.commit_failed(&error);
        }
    }

    /// Forgets a partition. What runs there may finish, and completes its claims, but commits nothing.
    fn end(&self, assignment: &mut Assignment, name: &Name) {
        if let Some(running) = assignment.running.remove(name) {
            running.partition.stop();
        }
    }

    /// After the last commit: closing the consumer has nothing left to wait for.
    pub(super) fn forget_all(&self) {
        let mut assignment = self.assignment();
        let names: Vec<Name> = assignment.running.keys().cloned().collect();
        names.iter().for_each(|name| self.end(&mut assignment, name));
    }

    /// Never fatal: a later commit covers this one, and the next owner skips what the store knows.
    pub(super) fn commit_failed(&self, error: &KafkaError) {
        self.service.status.metrics.commit(CommitOutcome::Failed);
        tracing::warn!(%error, "a commit failed; a later one covers it");
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &GroupConsumer, kind: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = match kind {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, partitions),
            _ => self.revoke(consumer, partitions),
        };
        if let Err(error) = done {
            self.service.status.metrics.fault(Component::Kafka);
            self.service
                .status
                .fail(format!("the assignment of partitions could not be carried out: {error}"));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => self.service.status.metrics.commit(CommitOutcome::Committed),
            Err(KafkaError::ConsumerCommit(rdkafka::error::RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => self.commit_failed(&error),
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.watcher.line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.service.status.metrics.fault(Component::Kafka);
        self.watcher.note(&error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        for ((topic, partition), running) in &self.assignment().running {
            let known = statistics.topics.get(&**topic).and_then(|topic| topic.partitions.get(partition));
            let end = known.map_or(-1, |known| known.ls_offset.max(known.hi_offset));
            running.metrics.lag(u64::try_from(end - running.partition.watermark()).unwrap_or(0));
            running
                .metrics
                .oldest_unsettled(running.partition.oldest_timestamp().map_or(Duration::ZERO, age));
        }
    }
}

fn begin_or_hold(position: &Position) -> Result<(i64, Position), String> {
    match &position.start {
        Start::At(offset) => Ok((*offset, position.clone())),
        Start::Hold(why) => Err(why.clone()),
    }
}

fn names(partitions: &TopicPartitionList) -> Vec<Name> {
    partitions.elements().iter().map(|element| (element.topic().into(), element.partition())).collect()
}

fn by_topic(names: &[Name]) -> BTreeMap<Arc<str>, BTreeSet<i32>> {
    let mut topics: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partition) in names {
        topics.entry(Arc::clone(topic)).or_default().insert(*partition);
    }
    topics
}
