//! Where records come in: one assigned partition. Takes them, has them settled batch by batch, says what may be
//! committed.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Finished, How, Settled,
    commit::Tracker,
    dead_letter::now_ms,
    dedupe::Stopped,
    feed::Source,
    lanes::{Delivered, Lanes},
    route::Topic,
};
use crate::{
    Record,
    crash::is_broken,
    evidence::{Happened, Note, note},
    store::PartitionOwners,
    telemetry::metrics::{InFlight, Label},
};

/// One partition in one assignment. The thread that polls has it take records in and asks for the watermark; tasks
/// on the runtime work on its lanes, and take records in, too. The polling thread waits for none of them longer than
/// it takes to copy a batch.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<Topic>,
    pub(crate) number: i32,
    /// Counts the assignments of this process: a partition that comes back is another one.
    pub(crate) epoch: u64,
    /// Who asks for claims here.
    pub(super) owners: PartitionOwners,
    /// Fires when nothing new may begin here.
    pub(crate) stop: CancellationToken,
    /// It has fired: to look there takes a lock.
    stops: AtomicBool,
    state: Mutex<State>,
    pub(super) source: Source,
    /// Batches, and records that have left theirs.
    pub(super) at_work: TaskTracker,
    pub(super) runtime: Handle,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) tracker: Tracker,
    pub(super) lanes: Lanes,
    bytes: usize,
    in_flight: InFlight,
    /// How many tasks take batch after batch.
    pub(super) batchers: usize,
    /// The handlers of the last batch answered at once.
    pub(super) is_quick: bool,
}

/// What may be committed at one moment.
#[derive(Debug)]
pub(crate) struct Committable {
    pub(crate) watermark: i64,
    /// Beyond the watermark.
    pub(crate) finished: Finished,
}

/// How much of the service's bounds a partition may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// Assignments are counted over the whole process, so that an epoch names one of them for ever.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// The number of another assignment.
pub(crate) fn next_epoch() -> u64 {
    EPOCHS.fetch_add(1, Relaxed)
}

/// While one batch waits for the store, the handlers of another run.
const BATCHERS: usize = 2;
/// Settled records kept in mind behind one that is not: what a crash would deliver again.
const MAX_SPAN: usize = 100_000;

impl Partition {
    /// One that begins at `position`.
    pub(crate) fn new(
        topic: Arc<Topic>,
        number: i32,
        epoch: u64,
        position: i64,
        runtime: Handle,
    ) -> Arc<Self> {
        Self::resuming(topic, number, Tracker::starting_at(epoch, position), runtime)
    }

    /// One that goes on where `tracker` says, which has delivered nothing yet.
    pub(crate) fn resuming(topic: Arc<Topic>, number: i32, tracker: Tracker, runtime: Handle) -> Arc<Self> {
        let epoch = tracker.epoch();
        topic.service.capacity.open(epoch);
        topic.service.near.open(epoch);
        let topic = Arc::new(topic.apart());
        let lanes = Lanes::new(topic.service.ordering);
        let in_flight = topic.service.status.metrics.in_flight();
        let owners = topic.service.owners.partition(epoch, &topic.name, number);
        Arc::new(Self {
            owners,
            topic,
            number,
            epoch,
            stop: CancellationToken::new(),
            stops: AtomicBool::new(false),
            state: Mutex::new(State { tracker, lanes, bytes: 0, in_flight, batchers: 0, is_quick: false }),
            source: Source::default(),
            at_work: TaskTracker::new(),
            runtime,
        })
    }

    /// Takes records in, in order, and has them worked on. What was delivered before is dropped.
    pub(crate) fn take(self: &Arc<Self>, records: impl IntoIterator<Item = impl Into<Arc<Record>>>) {
        let (mut taken, mut bytes) = (0, 0);
        let mut finished_before = Vec::new();
        let begins = {
            let mut state = self.state();
            if self.is_stopping() {
                return;
            }
            for record in records {
                let record = record.into();
                if !state.tracker.deliver(record.offset, record.timestamp) {
                    continue;
                }
                if let Some(settled) = state.tracker.settled_before(record.offset) {
                    state.tracker.settle(settled);
                    finished_before.push(record);
                    continue;
                }
                let weight = record.weight();
                state.lanes.push(Delivered { record, weight });
                taken += 1;
                bytes += weight;
            }
            state.bytes += bytes;
            state.in_flight.add(taken, bytes);
            state.begins()
        };
        self.topic.consumed.inc_by((taken + finished_before.len()) as u64);
        if begins {
            self.begin();
        }
        self.were_finished(&finished_before);
    }

    /// These records were finished by an owner of before: duplicates, of which nobody looks at the content.
    fn were_finished(&self, records: &[Arc<Record>]) {
        if !records.is_empty() {
            let now = now_ms();
            let settled = |record: &Arc<Record>| {
                self.topic.service.settled(self.topic.metrics(None), How::Duplicate, record, now);
            };
            records.iter().for_each(settled);
        }
    }

    /// Takes note of what needs no more work.
    pub(super) fn settled(&self, settled: impl IntoIterator<Item = (Settled, Delivered)>) {
        let mut state = self.state();
        let (mut number, mut bytes) = (0, 0);
        for (settled, delivered) in settled {
            note(|| Note {
                group: Some(self.topic.service.group()),
                epoch: Some(settled.epoch()),
                outcome: Some(settled.how().outcome().as_str()),
                ..Note::at(Happened::Settled, self.name(), settled.offset())
            });
            state.tracker.settle(settled);
            number += 1;
            bytes += delivered.weight;
        }
        state.bytes -= bytes;
        state.in_flight.remove(number, bytes);
    }

    /// How much more it may hold.
    pub(crate) fn room(&self, bounds: Bounds) -> Bounds {
        let state = self.state();
        let records = bounds.records.saturating_sub(state.tracker.unsettled());
        let span = MAX_SPAN.saturating_sub(state.tracker.span());
        let bytes = bounds.bytes.saturating_sub(state.bytes);
        Bounds { records: if bytes == 0 { 0 } else { records.min(span) }, bytes }
    }

    /// Whether it holds as much as it may, so that fetching must pause.
    pub(crate) fn is_full(&self, bounds: Bounds) -> bool {
        let state = self.state();
        state.tracker.unsettled() >= bounds.records
            || state.bytes >= bounds.bytes
            || state.tracker.span() >= MAX_SPAN
    }

    /// Whether half of what it may hold is free again, so that fetching may go on.
    pub(crate) fn has_room(&self, bounds: Bounds) -> bool {
        !self.is_full(Bounds { records: bounds.records.div_ceil(2), bytes: bounds.bytes.div_ceil(2) })
    }

    /// The offset to commit, and what is finished beyond it.
    pub(crate) fn committable(&self) -> Committable {
        let state = self.state();
        Committable { watermark: state.committable(), finished: state.tracker.finished() }
    }

    /// The offset to commit.
    pub(crate) fn watermark(&self) -> i64 {
        self.state().committable()
    }

    /// What changes whenever it moves: the next offset to be taken in, the offset to commit, and how many records are not
    /// settled.
    pub(crate) fn progress(&self) -> (i64, i64, usize) {
        let tracker = &self.state().tracker;
        (tracker.next(), tracker.watermark(), tracker.unsettled())
    }

    /// Whether some batch, handler, retry or delivery is under way.
    pub(crate) fn is_at_work(&self) -> bool {
        !self.at_work.is_empty()
    }

    /// Whether everything that was taken in is settled.
    pub(crate) fn is_idle(&self) -> bool {
        self.state().tracker.unsettled() == 0
    }

    /// Everything below needs no more work, where everything below `read_to` was taken in or passed over.
    pub(crate) fn settled_to(&self, read_to: i64) -> i64 {
        let state = self.state();
        if state.tracker.unsettled() == 0 { read_to } else { state.tracker.watermark() }
    }

    /// The next offset that has not been delivered.
    pub(crate) fn next_offset(&self) -> i64 {
        self.state().tracker.next()
    }

    /// Since when the record that holds the watermark could have been settled, in milliseconds since 1970: the time of the
    /// record, and where records wait for their time, when it was due.
    pub(crate) fn oldest_timestamp(&self) -> Option<i64> {
        let delay = self.topic.delay.map_or(0, |delay| i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
        self.state().tracker.oldest_timestamp().map(|written| written.saturating_add(delay))
    }

    /// Begins nothing new from now on: what waits is left, what runs may finish.
    pub(crate) fn stop(&self) {
        self.stops.store(true, Release);
        self.source.close();
        self.stop.cancel();
        self.at_work.close();
        // What waits belongs to the next owner; here it would only use memory.
        let mut state = self.state();
        let (number, bytes) = state.lanes.clear();
        state.bytes -= bytes;
        state.in_flight.remove(number, bytes);
        drop(state);
        self.topic.service.capacity.close(self.epoch);
        self.topic.service.near.close(self.epoch);
    }

    /// Topic and partition.
    pub(crate) fn name(&self) -> (&str, i32) {
        (&self.topic.name, self.number)
    }

    /// Whether nothing new may begin.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stops.load(Acquire)
    }

    /// Whether everything that ran has finished.
    pub(crate) fn is_stopped(&self) -> bool {
        self.is_stopping() && self.at_work.is_empty()
    }

    /// Waits until everything that ran has finished. Only after [`stop`](Self::stop).
    pub(crate) async fn stopped(&self) {
        self.at_work.wait().await;
    }

    pub(super) async fn wait(&self, time: Duration) -> Result<(), Stopped> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Stopped),
            done = work => Ok(done),
        }
    }

    /// Waits while a person has paused it.
    pub(super) async fn unless_held_or_stopped(&self) -> Result<(), Stopped> {
        if self.topic.hold.is_closed() { self.unless_stopped(self.topic.hold.opened()).await } else { Ok(()) }
    }

    /// Ends when the partition was told to stop this long ago.
    pub(super) async fn stopped_for(&self, time: Duration) {
        self.stop.cancelled().await;
        tokio::time::sleep(time).await;
    }

    /// Whether so many batches are at work that no more may begin, each of which takes records in before the next.
    pub(super) fn batches_take(&self) -> bool {
        let state = self.state();
        state.is_quick && state.batchers == BATCHERS
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The offset to commit.
    fn committable(&self) -> i64 {
        if is_broken("commit_highest_seen") { self.tracker.next() } else { self.tracker.watermark() }
    }

    /// Whether one more task is to take batches; it is counted.
    pub(super) fn begins(&mut self) -> bool {
        let begins = self.lanes.is_ready() && self.batchers < BATCHERS;
        self.batchers += usize::from(begins);
        begins
    }
}
