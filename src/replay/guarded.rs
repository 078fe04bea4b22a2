//! The store as a replay sees it: after any fault it grants nothing before it has shown that it still knows what it knew.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    Release, Released, Renewal, Renewed, StoreFault, StoreKey, StoreReport,
};

/// A store, and the claims by which it is known again.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) store: Arc<dyn DedupeStore>,
    pub(super) renewals: Vec<Renewal>,
    /// Fires when they are gone.
    pub(super) lost: CancellationToken,
    /// How many there have been so far, and how many of them the last look came after.
    pub(super) faults: AtomicU64,
    pub(super) seen: AtomicU64,
}

/// Whether one of these claims is gone. A store that has forgotten it has forgotten more: what it does not know may well
/// have taken effect.
pub(super) fn is_lost(answers: &[Renewed]) -> bool {
    answers.iter().any(|answer| *answer != Renewed::Kept)
}

impl Guarded {
    async fn look(&self) -> Result<(), StoreFault> {
        let faults = self.faults.load(Relaxed);
        if self.seen.load(Relaxed) < faults {
            if is_lost(&self.store.renew(&self.renewals).await?) {
                self.lost.cancel();
            }
            self.seen.fetch_max(faults, Relaxed);
        }
        if self.lost.is_cancelled() {
            return Err(StoreFault::unavailable("the store has forgotten what it knew"));
        }
        Ok(())
    }

    fn noted<T>(&self, answer: Result<T, StoreFault>) -> Result<T, StoreFault> {
        if answer.is_err() {
            self.faults.fetch_add(1, Relaxed);
        }
        answer
    }
}

#[async_trait]
impl DedupeStore for Guarded {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        self.look().await?;
        self.noted(self.store.claim(requests).await)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.noted(self.store.renew(renewals).await)
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        self.noted(self.store.complete(completions).await)
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        self.noted(self.store.release(releases).await)
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.look().await?;
        self.noted(self.store.inspect(keys).await)
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        self.store.forget(requests).await
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        self.store.anchors(group, topic).await
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        self.store.anchor(group, topic, partitions, started).await
    }

    async fn accept(&self, group: &str, topic: &str, partition: i32, at: Accepted) -> Result<(), StoreFault> {
        self.store.accept(group, topic, partition, at).await
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        self.store.begun(group, topic, partition, topic_id).await
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        self.noted(self.store.notes(kind).await)
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        self.store.note(kind, name, text).await
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.store.describe().await
    }
}
