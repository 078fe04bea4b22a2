//! The store as a replay sees it: no claim counts before the store has shown that it still knows what it knew.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    Release, Released, Renewal, Renewed, StoreFault, StoreKey, StoreReport,
};

/// A store, and the claims by which it is known again.
#[derive(Debug)]
pub(super) struct Guarded {
    store: Arc<dyn DedupeStore>,
    renewals: Vec<Renewal>,
    /// The server as it was when these claims were made.
    report: StoreReport,
    /// One look at a time: what one of them makes again must not be found whole by another.
    looking: Mutex<()>,
    /// Fires when they are gone.
    lost: CancellationToken,
}

impl Guarded {
    pub(super) fn new(
        store: Arc<dyn DedupeStore>,
        renewals: Vec<Renewal>,
        report: StoreReport,
        lost: CancellationToken,
    ) -> Self {
        Self { store, renewals, report, looking: Mutex::default(), lost }
    }

    /// Renews these claims. Where one of them is gone, or another server answers, the store has forgotten more than
    /// that: what it does not know may well have taken effect.
    pub(super) async fn look(&self) -> Result<(), StoreFault> {
        let _turn = self.looking.lock().await;
        let (renewed, report) = tokio::try_join!(self.store.renew(&self.renewals), self.store.describe())?;
        if renewed.contains(&Renewed::Unanswered) {
            return Err(StoreFault::unavailable("a part of the store does not answer"));
        }
        let is_same = report.run_id == self.report.run_id
            && report.replication_id == self.report.replication_id
            && report.evicted_keys == self.report.evicted_keys;
        if !is_same || renewed.iter().any(|answer| *answer != Renewed::Kept) {
            self.lost.cancel();
        }
        if self.lost.is_cancelled() {
            return Err(StoreFault::unavailable("the store has forgotten what it knew"));
        }
        Ok(())
    }
}

#[async_trait]
impl DedupeStore for Guarded {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        let claims = self.store.claim(requests).await?;
        // Asked after them: whatever the store had lost when it granted these, it had lost our own claims, too.
        self.look().await?;
        Ok(claims)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.store.renew(renewals).await
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        self.store.complete(completions).await
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        self.store.release(releases).await
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.store.inspect(keys).await
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

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        self.store.lost(group, topic, partition, from).await
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
        self.store.notes(kind).await
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        self.store.note(kind, name, text).await
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.store.describe().await
    }
}
