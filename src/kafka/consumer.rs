//! The thread that polls. It never waits for a handler, so that long handlers, long waits and outages never
//! cost the membership in the group.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::{
    FaultKind, KafkaFault,
    assignment::{Name, list},
    client::KafkaClient,
    group::{Group, GroupConsumer},
    headers::record_of,
};
use crate::telemetry::metrics::Component;
use rdkafka::{
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
};

/// How long one poll waits for a record.
const POLL: Duration = Duration::from_millis(20);
/// Records taken in before anything else gets its turn.
const TAKE: usize = 1000;
/// Between two looks at what is held, or not yet known to the store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks whether topics were created again.
const LOOK_AT_TOPICS: Duration = Duration::from_secs(3);
/// Between two questions where held partitions begin; doubles from the first to the second while nobody answers.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// How a consumer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ended {
    /// Everything that ran was finished and committed.
    Drained,
    /// Some handlers were still running at the deadline.
    CutOff,
}

/// A consumer on its thread.
pub(crate) struct Poller {
    consumer: GroupConsumer,
    commit_interval: Duration,
    topics: HashMap<String, Arc<str>>,
    next_commit: Instant,
    next_look: Instant,
    /// When those are asked again who know where held partitions begin.
    next_ask: Instant,
    next_topics: Instant,
    ask_pause: Duration,
}

impl Poller {
    /// Subscribes, and polls on a thread of its own until the group is to stop and everything is drained.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn start(
        client: &KafkaClient,
        group: Group,
        commit_interval: Duration,
    ) -> Result<JoinHandle<Ended>, KafkaFault> {
        let name = group.service.name.clone();
        let topics: HashMap<String, Arc<str>> =
            group.topics.iter().map(|(name, topic)| (name.clone(), Arc::clone(&topic.name))).collect();
        let consumer: GroupConsumer = client.consumer(&group.service.group).create_with_context(group)?;
        consumer.subscribe(&topics.keys().map(String::as_str).collect::<Vec<_>>())?;
        let now = Instant::now();
        let poller = Self {
            consumer,
            commit_interval,
            topics,
            next_commit: now,
            next_look: now,
            next_ask: now,
            next_topics: now + LOOK_AT_TOPICS,
            ask_pause: ASK_AGAIN.0,
        };
        let thread = std::thread::Builder::new().name(format!("poll-{name}")).spawn(move || poller.run());
        thread.map_err(|error| KafkaFault::new(FaultKind::Other, format!("no thread for polling: {error}")))
    }

    fn run(mut self) -> Ended {
        let service = Arc::clone(&self.group().service);
        let span = tracing::info_span!("service", name = %service.name);
        let _entered = span.enter();
        let ended = catch_unwind(AssertUnwindSafe(|| self.poll_until_drained()));
        // Closing leaves the group and revokes what is left, through the same callbacks.
        service.status.health.stopped();
        ended.unwrap_or_else(|_| {
            service.status.fail("the polling thread has panicked");
            Ended::CutOff
        })
    }

    fn poll_until_drained(&mut self) -> Ended {
        let group = Arc::clone(self.consumer.context());
        while !group.stop.is_cancelled() {
            self.turn();
        }
        self.drain(&group)
    }

    /// One turn of the loop. A fault of Kafka ends nothing: the client reconnects by itself.
    fn turn(&mut self) {
        let group = Arc::clone(self.consumer.context());
        group.service.status.health.tick();
        self.note(self.fetch());
        if !group.stop.is_cancelled() {
            self.note(group.assignment().resume(&self.consumer, group.bounds));
        }
        let now = Instant::now();
        if now >= self.next_commit {
            self.next_commit = now + self.commit_interval;
            self.commit(CommitMode::Async);
        }
        if now >= self.next_look || group.look_now.swap(false, Relaxed) {
            self.next_look = now + LOOK_AGAIN;
            self.look(&group, now);
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

    fn polled(&self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {
                self.group().loss_seen.store(true, Relaxed);
                self.group().look_now.store(true, Relaxed);
                Ok(())
            }
            KafkaError::MessageConsumptionFatal(_) => {
                self.group().service.status.fail(format!("Kafka's client has given up: {error}"));
                Ok(())
            }
            error => Err(error),
        }
    }

    /// Looks after what has waited: lost positions, held partitions, and beginnings that Kafka or the store do not
    /// have yet.
    fn look(&mut self, group: &Group, now: Instant) {
        if !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::None) {
            // A member without partitions is never told that it has joined.
            group.service.status.health.joined(true);
        }
        if group.loss_seen.load(Relaxed) {
            // Kafka's client says it once: it counts as seen only after every partition was looked at.
            match group.look_for_losses(&self.consumer) {
                Ok(()) => group.loss_seen.store(false, Relaxed),
                Err(error) => self.note(Err(error)),
            }
        }
        if now >= self.next_topics {
            self.next_topics = now + LOOK_AT_TOPICS;
            group.look_at_topics(&self.consumer);
        }
        if now >= self.next_ask {
            match group.retry_held(&self.consumer) {
                Ok(false) => self.ask_pause = ASK_AGAIN.0,
                Ok(true) => self.ask_pause = (self.ask_pause * 2).min(ASK_AGAIN.1),
                Err(error) => self.note(Err(error)),
            }
            self.next_ask = Instant::now() + self.ask_pause;
        }
        group.remember_beginnings();
        self.note(group.assignment().commit_beginnings(&self.consumer));
    }

    fn commit(&self, mode: CommitMode) {
        if let Err(error) = self.group().assignment().commit(&self.consumer, mode) {
            self.group().commit_failed(&error);
        }
    }

    /// Begins nothing new, waits for what runs, also in partitions that are no longer ours, and commits it.
    /// Polling goes on meanwhile: heartbeats and rebalances do not wait for us.
    fn drain(&mut self, group: &Group) -> Ended {
        group.service.status.health.draining();
        let deadline = Instant::now() + group.drain_timeout;
        let names: Vec<Name> = group.assignment().running.keys().cloned().collect();
        self.note(self.consumer.pause(&list(names.iter().map(|(topic, partition)| (&**topic, *partition)))));
        while !group.assignment().is_drained() && Instant::now() < deadline {
            self.turn();
        }
        self.commit(CommitMode::Sync);
        group.forget_all();
        if group.assignment().is_drained() { Ended::Drained } else { Ended::CutOff }
    }

    fn note(&self, outcome: Result<(), KafkaError>) {
        if let Err(error) = outcome {
            self.group().service.status.metrics.fault(Component::Kafka);
            tracing::warn!(%error, "Kafka");
        }
    }

    fn group(&self) -> &Group {
        self.consumer.context()
    }
}
