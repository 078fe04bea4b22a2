//! A service under test.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Fault, Letter, Moment, Published, Subject, TestRecord, fate::State, process::Process, world::World,
};
use crate::{
    Service,
    config::Settings,
    pipeline::{How, dead_letter::millis},
    service,
};

/// By the clock of the harness. What is not settled after this long never will be.
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);

/// A service in the pipeline it has in production, between a broker and a store in memory.
///
/// See the [module](super) for what it is for, and for how time passes.
pub struct Harness {
    start: Box<dyn Fn() -> Service>,
    settings: Settings,
    world: Arc<World>,
    topics: Vec<String>,
    process: Option<Process>,
    frozen: Vec<Process>,
}

impl Harness {
    /// A handler, or a service. It lives on when its process dies: what it keeps in memory is not forgotten, as it
    /// would be in production, where [`restarting`](Self::restarting) is the better likeness.
    ///
    /// # Panics
    /// When the names or routes of the service cannot stand.
    #[must_use]
    pub fn new(subject: impl Subject) -> Self {
        let service = subject.service();
        Self::restarting(move || service.clone())
    }

    /// The same, made anew for every process.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    #[expect(clippy::panic, reason = "a test fails by panicking")]
    pub fn restarting<S: Subject>(start: impl Fn() -> S + 'static) -> Self {
        let first = start().service();
        if let Err(problems) = service::check(std::slice::from_ref(&first)) {
            panic!("the service cannot run: {problems:?}");
        }
        Self {
            topics: first.table().topics().map(str::to_owned).collect(),
            start: Box::new(move || start().service()),
            settings: Settings::default(),
            world: World::new(),
            process: None,
            frozen: Vec::new(),
        }
    }

    /// Changes the configuration, which is the default one otherwise. To be called before the first delivery.
    ///
    /// ```
    /// # use oncewise::{testing::Harness, prelude::*};
    /// # use std::time::Duration;
    /// # fn slow_down(harness: Harness) -> Harness {
    /// harness.configure(|settings| {
    ///     settings.retry.max_attempts = Some(3);
    ///     settings.worker.handler_timeout = Duration::from_millis(50);
    /// })
    /// # }
    /// ```
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Lets something go wrong the first time that a record reaches this moment. Different faults at one moment come
    /// together; the same fault said twice comes again the second time.
    ///
    /// # Panics
    /// [`Fault::TimeOut`] at a moment that is not the handler's.
    pub fn at(&mut self, moment: Moment, fault: Fault) -> &mut Self {
        assert!(
            fault != Fault::TimeOut || moment.is_in_handler(),
            "only a handler is cut off by its time limit, and {moment} none runs"
        );
        self.world.things().traps.push((moment, fault));
        self
    }

    /// Lets the process die at this moment: [`Fault::Crash`].
    pub fn crash_at(&mut self, moment: Moment) -> &mut Self {
        self.at(moment, Fault::Crash)
    }

    /// Lets the lease run out under the handler when it has taken effect, and another process take the event over:
    /// [`Fault::Stall`].
    pub fn lose_lease(&mut self) -> &mut Self {
        self.at(Moment::AfterEffect, Fault::Stall)
    }

    /// Lets the dedupe store be out of reach for this long, from the next claim on: [`Fault::StoreDown`].
    pub fn store_down(&mut self, time: Duration) -> &mut Self {
        self.at(Moment::BeforeClaim, Fault::StoreDown(time))
    }

    /// Delivers a record and waits until it is settled and committed, whatever it takes.
    ///
    /// # Panics
    /// When that does not come about within a week of the harness' clock, when the service does not read the record's
    /// topic, and on a runtime of several threads.
    pub async fn deliver(&mut self, record: impl Into<TestRecord>) {
        self.deliver_all([record]).await;
    }

    /// Delivers a record to two partitions at the same moment, as two producers would, or one that was not sure.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_twice(&mut self, record: impl Into<TestRecord>) {
        let one = record.into();
        let other = one.clone().partition(one.partition + 1);
        self.deliver_all([one, other]).await;
    }

    /// Delivers several records at the same moment.
    ///
    /// # Panics
    /// As [`deliver`](Self::deliver).
    pub async fn deliver_all(&mut self, records: impl IntoIterator<Item = impl Into<TestRecord>>) {
        for record in records {
            let record = record.into();
            let topic = self.topic_of(&record);
            let record = record.at(&topic, millis(self.world.clock.now()));
            self.world.things().broker.deliver(record);
        }
        self.settle().await;
    }

    /// Lets time pass, and with it what the store remembers.
    ///
    /// # Panics
    /// On a runtime of several threads.
    pub async fn pass(&mut self, time: Duration) {
        let _waiting = self.world.passage.wait();
        tokio::time::advance(time).await;
    }

    /// How records were settled so far, in the order in which it happened. One that was settled by a process that
    /// died before it had committed is settled again by the next.
    #[must_use]
    pub fn outcomes(&self) -> Vec<How> {
        self.world.things().outcomes.clone()
    }

    /// How often the handlers were called so far.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.world.things().attempts
    }

    /// The dead letters so far.
    #[must_use]
    pub fn letters(&self) -> Vec<Letter> {
        self.world.things().broker.written.iter().filter_map(Letter::read).collect()
    }

    /// The events that the broker has taken so far. One that was sent twice is there twice, with the same id.
    #[must_use]
    pub fn published(&self) -> Vec<Published> {
        let things = self.world.things();
        let events = things.broker.written.iter().filter(|record| Letter::read(record).is_none());
        events.map(Published::read).collect()
    }

    /// The offset committed for a partition: everything below it is settled.
    #[must_use]
    pub fn committed(&self, topic: &str, partition: i32) -> i64 {
        self.world.things().broker.committed(topic, partition)
    }

    /// What was to go wrong and has not.
    pub(super) fn is_waiting_for_faults(&self) -> bool {
        !self.world.things().traps.is_empty()
    }

    #[expect(clippy::panic, reason = "a test fails by panicking")]
    fn topic_of(&self, record: &TestRecord) -> String {
        match (&record.topic, &self.topics[..]) {
            (Some(topic), topics) if topics.contains(topic) => topic.clone(),
            (None, [topic]) => topic.clone(),
            (topic, topics) => panic!(
                "the record's topic is {topic:?}; the service reads {topics:?}: say which with `TestRecord::topic`"
            ),
        }
    }

    #[expect(clippy::panic, reason = "a test fails by panicking")]
    async fn settle(&mut self) {
        let world = Arc::clone(&self.world);
        let _waiting = world.passage.wait();
        if tokio::time::timeout(PATIENCE, self.work()).await.is_err() {
            let open = world.things().broker.open().join(", ");
            panic!("not settled after {} days of the harness' clock: {open}", PATIENCE.as_secs() / 86_400);
        }
    }

    /// Until everything is committed and nobody stands still any more.
    async fn work(&mut self) {
        loop {
            let process = match self.process.take() {
                Some(process) if process.state() == State::Alive => process,
                ended => {
                    self.frozen.extend(ended.filter(|process| process.state() == State::Frozen));
                    Process::start(&(self.start)(), &self.settings, &self.world)
                }
            };
            let process = self.process.insert(process);
            process.read();
            process.commit();
            if process.state() != State::Alive {
                continue;
            }
            if self.world.things().broker.open().is_empty() {
                if self.frozen.is_empty() {
                    return;
                }
                self.thaw().await;
            } else if self.frozen.is_empty() {
                self.world.news.notified().await;
            } else {
                tokio::select! {
                    () = self.world.news.notified() => {}
                    () = self.world.passage.author_waits() => self.thaw().await,
                }
            }
        }
    }

    async fn thaw(&mut self) {
        for process in self.frozen.drain(..) {
            process.wake().await;
        }
    }
}

impl fmt::Debug for Harness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Harness").field("topics", &self.topics).finish_non_exhaustive()
    }
}
