//! The thread that polls. It never waits for a handler, so that long handlers, long waits and outages never
//! cost the membership in the group.

use std::{
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
    queues::Queues,
    subscription::Subscription,
    taken::Said,
    waiting::Waiting,
};
use crate::{
    crash::{is_deaf, stall_point},
    pipeline::{Feed, Fetched},
};
use rdkafka::{
    ClientContext,
    consumer::{CommitMode, Consumer, RebalanceProtocol},
    error::KafkaError,
};

/// How long the loop waits for a record.
const POLL: Duration = Duration::from_millis(20);
/// The same, where a partition is full and may have room again at any moment.
const POLL_FULL: Duration = Duration::from_millis(2);
/// Between two looks at what is held, or not yet known to the store.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Between two looks whether topics were created again.
const LOOK_AT_TOPICS: Duration = Duration::from_secs(3);
/// Between two questions where held partitions begin; doubles from the first to the second while nobody answers.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));

/// After a longer turn the group may have gone on without us: the next turn, which hears of that, commits.
const LONG_TURN: Duration = Duration::from_secs(2);

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
    /// Read before the consumer is closed, hence before it here.
    queues: Queues,
    consumer: Arc<GroupConsumer>,
    commit_interval: Duration,
    subscription: Subscription,
    waiting: Waiting,
    next_commit: Instant,
    next_look: Instant,
    /// When those are asked again who know where held partitions begin.
    next_ask: Instant,
    next_topics: Instant,
    ask_pause: Duration,
}

impl Poller {
    /// Subscribes, under a lasting name if there is an `instance_id`, and polls on a thread of its own until the group is to stop and everything is drained.
    ///
    /// # Errors
    /// A configuration that Kafka's client refuses.
    pub(crate) fn start(
        client: &KafkaClient,
        group: Group,
        commit_interval: Duration,
        instance_id: Option<&str>,
    ) -> Result<JoinHandle<Ended>, KafkaFault> {
        let name = group.service.name().clone();
        let mut config = client.consumer(group.service.group());
        if let Some(instance_id) = instance_id {
            config.set("group.instance.id", instance_id);
        }
        let consumer: GroupConsumer = config.create_with_context(group)?;
        let subscription = Subscription::begin(&consumer, consumer.context())?;
        let now = Instant::now();
        let poller = Self {
            queues: Queues::default(),
            consumer: Arc::new(consumer),
            commit_interval,
            subscription,
            waiting: Waiting::default(),
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
        let span = tracing::info_span!("service", name = %service.name());
        let _entered = span.enter();
        let ended = catch_unwind(AssertUnwindSafe(|| self.poll_until_drained()));
        // Batches would go on without the thread that commits, and what they take from keeps the consumer open.
        self.group().assignment().stop_all();
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
        stall_point("poll");
        let group = Arc::clone(self.consumer.context());
        group.service.status.health.tick();
        group.serve(&self.consumer);
        let served = Instant::now();
        if !group.stop.is_cancelled() {
            group.note(group.assignment().resume(&self.consumer));
        }
        self.queues.follow(&group.assignment(), &self.consumer, &std::thread::current());
        let fetched = self.fetch(&group);
        group.note(self.waiting.follow(&mut group.assignment(), &self.consumer));
        match fetched {
            Fetched::Some => {}
            Fetched::Nothing => std::thread::park_timeout(POLL),
            Fetched::Full => std::thread::park_timeout(POLL_FULL),
        }
        let now = Instant::now();
        if now >= self.next_commit && now - served < LONG_TURN {
            self.next_commit = now + self.commit_interval;
            self.commit(CommitMode::Async);
        }
        if now >= self.next_look || group.look_now.swap(false, Relaxed) {
            self.next_look = now + LOOK_AGAIN;
            self.look(&group, now);
        }
    }

    /// Hands records to the partitions that have room.
    fn fetch(&mut self, group: &Group) -> Fetched {
        let mut fetched = Fetched::Nothing;
        if is_deaf() {
            return fetched;
        }
        for (name, queue) in self.queues.iter() {
            let Some((partition, share)) = group.assignment().fed(name, group.bounds) else { continue };
            fetched = fetched.max(match partition.topic.delay {
                None => partition.fetch(Arc::clone(queue) as Arc<dyn Feed>, share),
                Some(delay) => self.waiting.fetch(name, &partition, queue, delay, share),
            });
            let Said { flows, failed } = queue.said();
            if flows {
                group.assignment().flows(name);
            }
            if let Some(failed) = failed {
                ClientContext::error(group, KafkaError::Global(failed.code), &failed.reason);
                let error = KafkaError::from(&failed);
                group.assignment().failed(name, &error);
                group.note_from(&name.0, group.polled(&self.consumer, error));
            }
        }
        fetched
    }

    /// Looks after what has waited: lost positions, held partitions, and beginnings that Kafka or the store do not
    /// have yet.
    fn look(&mut self, group: &Group, now: Instant) {
        let has_protocol = !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::None);
        if has_protocol && !group.is_outside.load(Relaxed) {
            // A member without partitions is never told that it has joined.
            group.service.status.health.joined(true);
        }
        if !group.stop.is_cancelled() {
            group.note(self.subscription.look(&self.consumer, now));
        }
        group.note(group.look_for_losses(&self.consumer));
        group.note(group.leave_unknown_topics(&self.consumer));
        if now >= self.next_topics {
            self.next_topics = now + LOOK_AT_TOPICS;
            group.look_at_topics(&self.consumer);
        }
        if now >= self.next_ask {
            match group.retry_held(&self.consumer) {
                Ok(false) => self.ask_pause = ASK_AGAIN.0,
                Ok(true) => self.ask_pause = (self.ask_pause * 2).min(ASK_AGAIN.1),
                Err(error) => group.note(Err(error)),
            }
            self.next_ask = Instant::now() + self.ask_pause;
        }
        group.look_for_stalls(&self.consumer, now);
        group.look_for_the_end(&self.consumer);
        group.remember_beginnings();
        group.note(group.assignment().commit_beginnings(&self.consumer));
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
        group.note(self.consumer.pause(&list(names.iter().map(|(topic, partition)| (&**topic, *partition)))));
        while !group.assignment().is_drained() && Instant::now() < deadline {
            self.turn();
        }
        group.last_commit(&self.consumer, deadline);
        group.forget_all();
        if group.assignment().is_drained() { Ended::Drained } else { Ended::CutOff }
    }

    fn group(&self) -> &Group {
        self.consumer.context()
    }
}
