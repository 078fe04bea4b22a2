//! The membership in a consumer group: what happens when partitions are assigned and revoked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{
        Arc, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{
    assignment::{Assignment, Name, Running},
    positions::{Position, Positions, Resolved},
    queues,
    seen::Assigned,
    stall::Fetched,
    start::Start,
    watcher::Watcher,
};
use crate::{
    evidence::{Happened, Note, note},
    pipeline::{Bounds, Partition, ServiceRun, Topic, commit::Tracker, next_epoch},
    telemetry::metrics::{CommitOutcome, Component, RebalanceKind},
};

/// Between two looks at what still runs.
const MOMENT: Duration = Duration::from_millis(500);

pub(crate) type GroupConsumer = BaseConsumer<Group>;

/// The context of a consumer: its callbacks run inside of `poll`, on the one thread that polls.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) service: Arc<ServiceRun>,
    pub(crate) topics: HashMap<String, Arc<Topic>>,
    pub(crate) positions: Positions,
    /// Of the whole service, shared out among its partitions.
    pub(crate) bounds: Bounds,
    /// How long a worker that stops may finish what runs.
    pub(crate) drain_timeout: Duration,
    /// How long revoked partitions may: meanwhile nothing is polled.
    pub(crate) revoke_timeout: Duration,
    /// How long a partition may stand still while records wait.
    pub(crate) stall_after: Option<Duration>,
    /// Where handlers run.
    pub(crate) runtime: Handle,
    /// Where nothing waits for handlers.
    pub(crate) control: Handle,
    /// Fires when nothing new may begin at all.
    pub(crate) stop: CancellationToken,
    pub(crate) watcher: Watcher,
    pub(crate) assignment: Assigned,
    /// The group has gone on without this member, and nothing was assigned to it since.
    pub(crate) is_outside: AtomicBool,
    /// Something was assigned: what has to be looked after should not wait for its time.
    pub(crate) look_now: AtomicBool,
}

impl Group {
    pub(super) fn assignment(&self) -> MutexGuard<'_, Assignment> {
        self.assignment.lock()
    }

    fn assign(&self, consumer: &GroupConsumer, assigned: &TopicPartitionList) -> KafkaResult<()> {
        let mut offsets = TopicPartitionList::new();
        let mut starts = Vec::new();
        for (topic, partitions) in by_topic(&names(assigned)) {
            let positions = self.ask_where(consumer, &topic, &partitions);
            for (partition, position) in positions {
                // A held partition is assigned somewhere; it is assigned anew before it is resumed.
                let offset = match &position {
                    Ok(Position { start: Start::At(offset), .. }) => Offset::Offset(*offset),
                    _ => Offset::Beginning,
                };
                offsets.add_partition_offset(&topic, partition, offset)?;
                queues::set_apart(consumer, &topic, partition);
                starts.push(((Arc::clone(&topic), partition), position));
            }
        }
        consumer.incremental_assign(&offsets)?;
        // All of them begin paused; those that may are resumed at once by the loop that polls.
        consumer.pause(assigned)?;
        let mut assignment = self.assignment();
        for (name, position) in starts {
            self.begin_or_hold(&mut assignment, name, position);
        }
        self.is_outside.store(false, Relaxed);
        self.service.status.health.joined(true);
        self.service.status.metrics.rebalance(RebalanceKind::Assigned);
        self.look_now.store(true, Relaxed);
        Ok(())
    }

    /// Where partitions begin, or why that is not known. A worker that stops begins nowhere.
    pub(super) fn ask_where(
        &self,
        consumer: &GroupConsumer,
        topic: &str,
        partitions: &BTreeSet<i32>,
    ) -> Resolved {
        if self.stop.is_cancelled() {
            return partitions
                .iter()
                .map(|partition| (*partition, Err("the worker stops".to_owned())))
                .collect();
        }
        self.service.status.health.tick();
        self.positions.resolve(consumer, topic, partitions, || self.service.status.health.tick())
    }

    pub(super) fn begin_or_hold(
        &self,
        assignment: &mut Assignment,
        name: Name,
        position: Result<Position, String>,
    ) {
        let (topic, partition) = (&name.0, name.1);
        match position {
            Ok(position) => match position.start.clone() {
                Start::At(offset) => {
                    let Some(known) = self.topics.get(&**topic) else { return };
                    let beyond = position.finished.count();
                    tracing::info!(%topic, partition, offset, finished_beyond = beyond, "assigned");
                    self.service.status.health.resume(topic, partition);
                    let epoch = next_epoch();
                    note(|| Note {
                        group: Some(self.service.group()),
                        epoch: Some(epoch),
                        ..Note::at(Happened::Assigned, (topic, partition), offset)
                    });
                    let tracker = Tracker::resuming(epoch, offset, position.finished.clone());
                    let begun =
                        Partition::resuming(Arc::clone(known), partition, tracker, self.runtime.clone());
                    let metrics = self.service.status.metrics.partition(topic, partition);
                    assignment.held.remove(&name);
                    assignment.running.insert(name, Running::new(begun, metrics, &position));
                }
                Start::Hold(why) => self.hold(assignment, name, why),
            },
            Err(why) => self.hold(assignment, name, why),
        }
    }

    pub(super) fn hold(&self, assignment: &mut Assignment, name: Name, why: String) {
        let (topic, partition) = (&name.0, name.1);
        if assignment.held.get(&name) != Some(&why) && !self.stop.is_cancelled() {
            tracing::error!(%topic, partition, %why, "paused: where to begin is not known");
            self.service.status.metrics.fault(Component::Kafka);
        }
        self.service.status.health.moves(topic, partition);
        self.service.status.health.pause(topic, partition, &why);
        assignment.held.insert(name, why);
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
            assignment.end(name);
            assignment.held.remove(name);
            self.service.status.health.resume(&name.0, name.1);
            self.service.status.health.moves(&name.0, name.1);
        }
        drop(assignment);
        if lost {
            self.is_outside.store(true, Relaxed);
            self.service.status.health.joined(false);
        }
        let kind = if lost { RebalanceKind::Lost } else { RebalanceKind::Revoked };
        self.service.status.metrics.rebalance(kind);
        consumer.incremental_unassign(revoked)
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
        let deadline = Instant::now() + self.revoke_timeout;
        for partition in &partitions {
            while !partition.is_stopped() && Instant::now() < deadline {
                self.service.status.health.tick();
                let moment = MOMENT.min(deadline.saturating_duration_since(Instant::now()));
                let stopped = async { tokio::time::timeout(moment, partition.stopped()).await };
                // Out of time or not, the next turn of the loop looks again.
                drop(self.control.block_on(stopped));
            }
        }
        crate::crash::crash_point("in_revoke");
        if !partitions.is_empty() {
            self.last_commit(consumer, deadline);
        }
    }

    /// After the last commit: closing the consumer has nothing left to wait for.
    pub(super) fn forget_all(&self) {
        let mut assignment = self.assignment();
        let names: Vec<Name> = assignment.running.keys().cloned().collect();
        names.iter().for_each(|name| assignment.end(name));
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

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Err(error) => {
                self.commit_failed(&error);
                self.assignment().not_committed(&error, offsets);
            }
            Ok(()) => {
                self.service.status.metrics.commit(CommitOutcome::Committed);
                if self.assignment().committed(offsets) {
                    self.look_now.store(true, Relaxed);
                }
            }
        }
        if !self.assignment().unknown.is_empty() {
            self.look_now.store(true, Relaxed);
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
        if self.is_outside.load(Relaxed) {
            // It may be back without partitions.
            let is_member = statistics.cgrp.is_some_and(|group| group.join_state == "steady");
            self.service.status.health.joined(is_member);
        }
        for ((topic, partition), running) in &mut self.assignment().running {
            let known = statistics.topics.get(&**topic).and_then(|topic| topic.partitions.get(partition));
            running.fetched = known.map(|known| Fetched { next: known.next_offset, ready: known.fetchq_cnt });
            let end = known.map_or(-1, |known| known.ls_offset.max(known.hi_offset));
            running.end = (end >= 0).then_some(end);
            running.metrics.lag(u64::try_from(end - running.partition.watermark()).unwrap_or(0));
            running.metrics.oldest_unsettled(running.oldest().age());
        }
    }
}

fn names(partitions: &TopicPartitionList) -> Vec<Name> {
    partitions.elements().iter().map(|element| (element.topic().into(), element.partition())).collect()
}

pub(super) fn by_topic(names: &[Name]) -> BTreeMap<Arc<str>, BTreeSet<i32>> {
    let mut topics: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
    for (topic, partition) in names {
        topics.entry(Arc::clone(topic)).or_default().insert(*partition);
    }
    topics
}
