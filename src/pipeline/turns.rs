//! Whose turn it is in a partition: tasks that take batch after batch.

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;

use super::{
    batch::settle_all,
    capacity::Places,
    lanes::{Delivered, Lane, Turn},
    source::Partition,
};

/// Records of a batch: enough to share a round trip, few enough that a death repeats little.
const BATCH: usize = 256;
/// Where more wait, no fewer are claimed before this time has passed.
const FEW: usize = 16;
const MOMENT: Duration = Duration::from_millis(1);

impl Partition {
    pub(super) fn begin(self: &Arc<Self>) {
        self.spawn(Arc::clone(self).work());
    }

    /// Runs this as a part of the partition's work. Author's code cannot panic here; if ours does, records must not
    /// stay unsettled in silence.
    pub(super) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let service = Arc::clone(&self.topic.service);
        // An async block around it would hold it twice, and move it once more.
        let work = AssertUnwindSafe(work).catch_unwind().map(move |ended| {
            if ended.is_err() {
                service.status.fail("the work on a partition has panicked");
            }
        });
        self.at_work.spawn_on(work, &self.runtime);
    }

    /// Takes batch after batch, until nothing is ready or the partition is told to stop.
    async fn work(self: Arc<Self>) {
        loop {
            if self.unless_held_or_stopped().await.is_err() {
                return;
            }
            // A claim has to be kept alive until its handler has run: none is asked for long before that, unless
            // handlers answer at once.
            let is_quick = self.state().is_quick;
            let near = if is_quick {
                None
            } else {
                let near = self.topic.service.near.places(self.epoch, BATCH);
                let Ok(mut near) = self.unless_stopped(near).await else { return };
                if near.number() < FEW && self.state().lanes.ready() >= FEW {
                    // Places come back one by one: a round trip for each would cost the store more than it gives.
                    if self.wait(MOMENT).await.is_err() {
                        return;
                    }
                    near.take_more(BATCH);
                }
                Some(near)
            };
            if self.topic.hold.is_closed() {
                continue;
            }
            if is_quick {
                self.refill(BATCH);
            }
            let most = near.as_ref().map_or(BATCH, Places::number);
            let Some(turns) = self.next(most, if is_quick { most } else { 1 }) else { return };
            if settle_all(&self, turns, near, is_quick).await.is_err() {
                return;
            }
        }
    }

    /// The records whose turn it is.
    fn next(&self, most: usize, of_one_lane: usize) -> Option<Vec<Turn>> {
        let mut state = self.state();
        if !state.lanes.is_ready() || self.is_stopping() {
            state.batchers -= 1;
            return None;
        }
        Some(state.lanes.take(most, of_one_lane))
    }

    /// Nobody works on these lanes any more; what comes back was not worked on.
    pub(super) fn free(self: &Arc<Self>, lanes: impl IntoIterator<Item = (Lane, VecDeque<Delivered>)>) {
        let begins = {
            let mut state = self.state();
            lanes.into_iter().for_each(|(lane, back)| state.lanes.done(lane, back));
            !self.is_stopping() && state.begins()
        };
        if begins {
            self.begin();
        }
    }

    /// Gives records back to a lane that is still worked on.
    pub(super) fn give_back(&self, lane: Lane, back: VecDeque<Delivered>) {
        self.state().lanes.give_back(lane, back);
    }

    pub(super) fn is_quick(&self, is_quick: bool) {
        self.state().is_quick = is_quick;
    }
}
