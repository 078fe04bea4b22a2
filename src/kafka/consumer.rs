//! The thread that polls. It never waits for a handler, so that long handlers, long waits and outages never
//! cost the membership in the group.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rdkafka::{
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio_util::sync::CancellationToken;

use super::{
    FaultKind, KafkaFault,
    assignment::list,
    client::KafkaClient,
    group::{Group, GroupConsumer},
    headers::record_of,
};
use crate::pipeline::ServiceRun;

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(20);
/// Records taken in before anything else gets its turn.
const TAKE: usize = 1000;
/// Between two looks at what is held, or not yet known to the store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// How a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// Everything that ran was finished and committed.
    Drained,
    /// Some handlers were still running at the deadline.
    CutOff,
}

/// A polling thread must not die in silence.
struct Alarm(Arc<ServiceRun>);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.status.fail("the polling thread has panicked");
        }
    }
}

/// A consumer on its thread.
pub(crate) struct Poller {
    consumer: GroupConsumer,
    commit_interval: Duration,
    topics: HashMap<String, Arc<str>>,
    stop: CancellationToken,
    next_commit: Instant,
    next_look: Instant,
}

impl Poller {
    /// Subscribes, and polls on a thread of its own until `stop` fires and everything is drained.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn start(
        client: &KafkaClient,
        group: Group,
        commit_interval: Duration,
        stop: CancellationToken,
    ) -> Result<JoinHandle<Ended>, KafkaFault> {
        let name = group.service.name.clone();
        let topics: HashMap<String, Arc<str>> =
            group.routes.iter().map(|(topic, route)| (topic.clone(), Arc::clone(&route.topic))).collect();
        let consumer: GroupConsumer = client.consumer(&group.service.group).create_with_context(group)?;
        consumer.subscribe(&topics.keys().map(String::as_str).collect::<Vec<_>>())?;
        let now = Instant::now();
        let poller = Self { consumer, commit_interval, topics, stop, next_commit: now, next_look: now };
        let thread = std::thread::Builder::new().name(format!("poll-{name}")).spawn(move || {
            let _alarm = Alarm(Arc::clone(&poller.group().service));
            poller.run()
        });
        thread.map_err(|error| KafkaFault::new(FaultKind::Other, format!("no thread for polling: {error}")))
    }

    fn run(mut self) -> Ended {
        let span = tracing::info_span!("service", name = %self.group().service.name);
        let _entered = span.enter();
        while !self.stop.is_cancelled() {
            self.turn();
        }
        let ended = self.drain();
        // Closing leaves the group and revokes what is left, through the same callbacks.
        self.group().service.status.health.stopped();
        ended
    }

    /// One turn of the loop. A fault of Kafka ends nothing: the client reconnects by itself.
    fn turn(&mut self) {
        self.group().service.status.health.tick();
        let group = Arc::clone(self.consumer.context());
        let mut outcome = self.fetch().and_then(|()| group.assignment().resume(&self.consumer, group.bounds));
        let now = Instant::now();
        if now >= self.next_commit {
            self.next_commit = now + self.commit_interval;
            self.commit(CommitMode::Async);
        }
        if now >= self.next_look || group.look_now.swap(false, Relaxed) {
            self.next_look = now + LOOK_AGAIN;
            outcome = outcome.and_then(|()| self.look());
        }
        if let Err(error) = outcome {
            self.fault(&error);
        }
    }

    fn fetch(&self) -> Result<(), KafkaError> {
        let group = self.consumer.context();
        let mut patience = POLL;
        for _ in 0..TAKE {
            match self.consumer.poll(patience) {
                None => break,
                Some(Ok(message)) => {
                    if let Some(topic) = self.topics.get(rdkafka::Message::topic(&message)) {
                        let record = record_of(&message, topic);
                        group.assignment().take(&self.consumer, record, group.bounds)?;
                    }
                }
                Some(Err(error)) => return self.polled(error),
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    /// Looks after what has waited: held partitions, and what the store should remember.
    fn look(&self) -> Result<(), KafkaError> {
        let group = self.consumer.context();
        if !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::None) {
            // A member without partitions is never told that it has joined.
            group.service.status.health.joined(true);
        }
        group.retry_held(&self.consumer)?;
        let anchors_due = group.assignment().running.values().any(|running| running.anchor_due.is_some());
        if anchors_due {
            // What the store remembers must be true: first Kafka has the offset, then the store is told.
            let mut assignment = group.assignment();
            assignment.commit(&self.consumer, CommitMode::Sync)?;
            group.write_anchors(&mut assignment);
        }
        Ok(())
    }

    fn polled(&self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                self.group().hold_what_is_lost(&self.consumer)
            }
            KafkaError::MessageConsumptionFatal(_) => {
                self.group().service.status.fail(format!("Kafka's client has given up: {error}"));
                Ok(())
            }
            error => Err(error),
        }
    }

    fn commit(&self, mode: CommitMode) {
        if let Err(error) = self.group().assignment().commit(&self.consumer, mode) {
            self.group().commit_failed(&error);
        }
    }

    /// Begins nothing new, waits for what runs, and commits it. Polling goes on meanwhile: heartbeats and
    /// rebalances do not wait for us.
    fn drain(&mut self) -> Ended {
        let group = Arc::clone(self.consumer.context());
        group.service.status.health.draining();
        let deadline = Instant::now() + group.drain_timeout;
        let partitions: Vec<_> =
            group.assignment().running.values().map(|running| Arc::clone(&running.partition)).collect();
        partitions.iter().for_each(|partition| partition.stop());
        if let Err(error) = self.consumer.pause(&list(partitions.iter().map(|partition| partition.name()))) {
            self.fault(&error);
        }
        while Instant::now() < deadline && !partitions.iter().all(|partition| partition.is_stopped()) {
            self.turn();
        }
        self.commit(CommitMode::Sync);
        group.forget_all();
        if partitions.iter().all(|partition| partition.is_stopped()) { Ended::Drained } else { Ended::CutOff }
    }

    fn fault(&self, error: &KafkaError) {
        self.group().service.status.metrics.fault(crate::telemetry::metrics::Component::Kafka);
        tracing::warn!(%error, "Kafka");
    }

    fn group(&self) -> &Group {
        self.consumer.context()
    }
}
