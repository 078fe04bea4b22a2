//! Where records come in: one assigned partition. Takes them, settles them lane by lane, says what may be
//! committed.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Settled,
    commit::Tracker,
    lanes::{Delivered, Lane, Lanes},
    route::Topic,
    settle::settle,
};
use crate::{Record, telemetry::metrics::InFlight};

/// One partition in one assignment. The thread that polls gives it records and asks for the watermark; tasks
/// on the runtime work on its lanes. It never makes the polling thread wait.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(crate) topic: Arc<Topic>,
    pub(crate) number: i32,
    /// Counts the assignments of this process: a partition that comes back is another one.
    pub(crate) epoch: u64,
    /// Fires when nothing new may begin here.
    pub(crate) stop: CancellationToken,
    state: Mutex<State>,
    lanes_at_work: TaskTracker,
    runtime: Handle,
}

#[derive(Debug)]
struct State {
    tracker: Tracker,
    lanes: Lanes,
    bytes: usize,
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

/// Settled records kept in mind behind one that is not: what a crash would deliver again.
const MAX_SPAN: usize = 100_000;

impl Partition {
    pub(crate) fn new(
        topic: Arc<Topic>,
        number: i32,
        epoch: u64,
        position: i64,
        runtime: Handle,
    ) -> Arc<Self> {
        topic.service.capacity.open(epoch);
        topic.service.near.open(epoch);
        let lanes = Lanes::new(topic.service.ordering);
        Arc::new(Self {
            topic,
            number,
            epoch,
            stop: CancellationToken::new(),
            state: Mutex::new(State { tracker: Tracker::starting_at(epoch, position), lanes, bytes: 0 }),
            lanes_at_work: TaskTracker::new(),
            runtime,
        })
    }

    /// Takes a record in and starts its lane if it was idle. What was delivered before is dropped.
    pub(crate) fn take(self: &Arc<Self>, record: Record) {
        let weight = record.weight();
        let lane = {
            let mut state = self.state();
            if self.stop.is_cancelled() || !state.tracker.deliver(record.offset, record.timestamp) {
                return;
            }
            state.bytes += weight;
            let in_flight = self.topic.service.status.metrics.in_flight(weight);
            state.lanes.push(Delivered { record: Arc::new(record), in_flight })
        };
        self.topic.consumed.inc();
        if let Some(lane) = lane {
            self.lanes_at_work.spawn_on(Arc::clone(self).work(lane), &self.runtime);
        }
    }

    /// Works on a lane until it is empty. Author's code cannot panic here; if ours does, a lane must not die in
    /// silence with its records unsettled.
    async fn work(self: Arc<Self>, lane: Lane) {
        if AssertUnwindSafe(self.work_on(&lane)).catch_unwind().await.is_err() {
            self.topic.service.status.fail("a lane has panicked");
        }
    }

    async fn work_on(&self, lane: &Lane) {
        while let Some(Delivered { record, in_flight }) = self.next(lane) {
            match settle(self, &record).await {
                Ok(settled) => self.settled(settled, &record, in_flight),
                // Stopped: the rest of the lane belongs to whoever is assigned this partition next.
                Err(_) => return,
            }
        }
    }

    fn next(&self, lane: &Lane) -> Option<Delivered> {
        if self.stop.is_cancelled() {
            return None;
        }
        self.state().lanes.next(lane)
    }

    fn settled(&self, settled: Settled, record: &Record, in_flight: InFlight) {
        drop(in_flight);
        let mut state = self.state();
        state.bytes -= record.weight();
        state.tracker.settle(settled);
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

    /// The offset to commit.
    pub(crate) fn watermark(&self) -> i64 {
        self.state().tracker.watermark()
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

    /// The time of the record that holds the watermark, in milliseconds since 1970.
    pub(crate) fn oldest_timestamp(&self) -> Option<i64> {
        self.state().tracker.oldest_timestamp()
    }

    /// Begins nothing new from now on: what waits is left, what runs may finish.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.lanes_at_work.close();
        // What waits belongs to the next owner; here it would only use memory.
        self.state().lanes.clear();
        self.topic.service.capacity.close(self.epoch);
        self.topic.service.near.close(self.epoch);
    }

    /// Topic and partition.
    pub(crate) fn name(&self) -> (&str, i32) {
        (&self.topic.name, self.number)
    }

    /// Whether everything that ran has finished.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.is_cancelled() && self.lanes_at_work.is_empty()
    }

    /// Waits until everything that ran has finished. Only after [`stop`](Self::stop).
    pub(crate) async fn stopped(&self) {
        self.lanes_at_work.wait().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
