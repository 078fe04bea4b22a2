//! What has been handled in a batch: completed and settled together.

use std::{sync::Arc, time::Duration};

use super::granted::QUICK;
use crate::{
    crash::crash_point,
    pipeline::{
        How, Settled, dead_letter::millis, dedupe::Stopped, held::KeptBatch, lanes::Delivered, route::Route,
        source::Partition,
    },
    store::{Completion, StoreKey},
    telemetry::spans::Process,
};

/// What has taken effect waits for so long for the rest of its batch, and beyond that for the one that runs: a death repeats
/// what is not told.
const UNTOLD: Duration = Duration::from_millis(2);
/// What takes longer than this was not only a thread whose processor the system had given to others.
const SLICE: Duration = Duration::from_millis(10);

/// A record that needs no more work, once the ledger knows its key.
pub(super) struct Over {
    pub(super) delivered: Delivered,
    pub(super) route: Option<Arc<Route>>,
    pub(super) key: Option<StoreKey>,
    pub(super) span: Option<Arc<Process>>,
    pub(super) how: How,
}

/// Events whose handlers have answered.
#[derive(Default)]
pub(super) struct Handled {
    pub(super) completions: Vec<Completion>,
    pub(super) over: Vec<Over>,
    /// For how long the batch has run since the store was told of those before, as far as that counts.
    pub(super) untold: Duration,
    /// Their claims are kept alive.
    pub(super) kept: Option<Arc<KeptBatch>>,
}

impl Handled {
    /// The next handler has come to its end, or waits, so long after the one before. Whether what has taken effect has waited
    /// enough for the rest of its batch.
    ///
    /// Moments in which the processor was given to others hardly count: the rest is over as soon as without them, and a batch
    /// that is told in parts has the store write each of its events twice.
    pub(super) fn has_waited(&mut self, took: Duration) -> bool {
        self.untold += if took < SLICE { took.min(QUICK) } else { took };
        self.untold > UNTOLD
    }

    /// Completes everything, and settles it together with what is `over`. As for one alone, the ledger comes first.
    pub(super) async fn finish(self, partition: &Arc<Partition>, over: Vec<Over>) -> Result<(), Stopped> {
        let claims = &partition.topic.service.claims;
        let entered = partition.enter(&ends(self.over.iter().chain(&over))).await;
        let mut settled = over;
        if !self.completions.is_empty() {
            settled.reserve(self.over.len());
            let foreign = claims.complete_all(&self.completions).await;
            self.completions.iter().for_each(|_| crash_point("after_complete"));
            for ((completion, over), is_foreign) in self.completions.into_iter().zip(self.over).zip(foreign) {
                if is_foreign && entered.is_ok() {
                    partition.spawn(at_last(Arc::clone(partition), completion, over));
                } else {
                    settled.push(over);
                }
            }
        }
        drop(self.kept);
        entered?;
        settle_over(partition, settled);
        Ok(())
    }
}

/// Waits until a key that holds a value which is not ours takes the end of its event. Nobody waits for that meanwhile.
async fn at_last(partition: Arc<Partition>, completion: Completion, over: Over) {
    partition.topic.service.claims.complete_at_last(&completion).await;
    settle_over(&partition, vec![over]);
}

fn settle_over(partition: &Partition, over: Vec<Over>) {
    let (service, now) = (&partition.topic.service, millis(partition.topic.service.clock.now()));
    for Over { how, span, .. } in &over {
        if let Some(span) = span {
            span.end(how.outcome(), None);
        }
    }
    // Counters are shared by all threads, and most neighbours have the same handler and outcome.
    let same = |one: &Over, other: &Over| {
        one.how == other.how && one.route.as_ref().map(Arc::as_ptr) == other.route.as_ref().map(Arc::as_ptr)
    };
    for alike in over.chunk_by(same) {
        let metrics = partition.topic.metrics(alike[0].route.as_deref());
        service.all_settled(metrics, alike[0].how, alike.iter().map(|over| &*over.delivered.record), now);
    }
    partition.settled(over.into_iter().map(|Over { delivered, how, .. }| {
        (Settled::new(partition.epoch, delivered.record.offset, how), delivered)
    }));
}

/// What the ledger is to hear of these.
fn ends<'a>(over: impl Iterator<Item = &'a Over>) -> Vec<(&'a StoreKey, How)> {
    over.filter_map(|over| Some((over.key.as_ref()?, over.how))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_thread_without_its_processor_for_a_moment_does_not_have_its_batch_told_in_parts() {
        let mut handled = Handled::default();
        assert!(!handled.has_waited(4 * MS));
        assert!((0..250).all(|_| !handled.has_waited(MS / 300)));
    }

    #[test]
    fn what_has_taken_effect_does_not_wait_for_neighbours_that_take_their_time() {
        assert!(Handled::default().has_waited(SLICE), "one that takes long");
        let mut handled = Handled::default();
        let first = (1..).find(|_| handled.has_waited(MS / 10));
        assert_eq!(first, Some(21), "many that take some time");
    }
}
