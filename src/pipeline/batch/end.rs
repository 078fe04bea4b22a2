//! How a batch ends: what leaves it goes on, what was not run is given back, what was handled is settled.

use std::{collections::VecDeque, mem::take, sync::Arc};

use tokio_util::sync::CancellationToken;

use super::{Batch, handled::Handled};
use crate::pipeline::{
    dedupe::Stopped,
    delivery::HAND_OVER,
    lanes::{Delivered, Lane},
    settle::settle,
    source::Partition,
    stage::Stage,
};

impl Batch<'_> {
    pub(super) async fn end(mut self) -> Result<(), Stopped> {
        drop(self.place.take());
        self.answers.count();
        // A record that comes back must not be claimed anew before its claim is gone.
        for at_work in self.lanes.iter_mut().filter(|at_work| at_work.is_held) {
            let back = at_work.take_back();
            self.partition.give_back(at_work.lane, back);
        }
        self.give_back().await;
        self.released.cancel();
        let has_ledger = self.partition.topic.service.ledger.is_some();
        let ended = if has_ledger {
            // What the ledger does not take must not keep other events from being claimed.
            let over = take(&mut self.over);
            self.tell(over);
            Ok(())
        } else {
            let handled = Handled { kept: self.kept.take(), ..take(&mut self.handled) };
            handled.finish(self.partition, take(&mut self.over)).await
        };
        let free = take(&mut self.lanes).into_iter().filter(|at_work| !at_work.is_held);
        self.partition.free(free.map(|mut at_work| {
            let back = at_work.take_back();
            (at_work.lane, back)
        }));
        ended
    }

    async fn give_back(&mut self) {
        let unused = take(&mut self.unused);
        if unused.is_empty() {
            return;
        }
        let (claims, stop) = (&self.partition.topic.service.claims, &self.partition.stop);
        if claims.release_all(&unused, stop).await.is_ok() {
            return;
        }
        let never = CancellationToken::new();
        if tokio::time::timeout(HAND_OVER, claims.release_all(&unused, &never)).await.is_err() {
            tracing::debug!(
                claims = unused.len(),
                "claims could not be given back; their leases end by themselves"
            );
        }
    }
}

/// However a batch ends, those who have left it do not wait for it for ever.
impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.released.cancel();
    }
}

/// One record that has left its batch. Its lane is free when what the batch has given back is.
pub(super) async fn alone(
    partition: Arc<Partition>,
    lane: Lane,
    delivered: Delivered,
    stage: Stage,
    released: CancellationToken,
) {
    // A task is moved several times before it runs: all of this way would be copied with it.
    let settled = Box::pin(settle(&partition, &delivered.record, stage)).await;
    // Stopped: the rest of the lane belongs to whoever is assigned this partition next.
    let Ok(settled) = settled else { return };
    partition.settled([(settled, delivered)]);
    released.cancelled().await;
    partition.free([(lane, VecDeque::new())]);
}
