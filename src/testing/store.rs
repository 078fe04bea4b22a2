//! A process' line to the dedupe store.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Moment, world::Seam};
use crate::store::{
    Accepted, Anchors, Claim, ClaimRequest, Completed, Completion, DedupeStore, Forget, Forgotten, Inspected,
    MemoryStore, Release, Released, Renewal, Renewed, StoreFault, StoreKey, StoreReport,
};

/// A memory store as a process sees it that may die, over a line that may be down.
#[derive(Debug)]
pub(super) struct LinedStore(pub(super) Seam);

impl LinedStore {
    async fn reach(&self, moment: Moment) -> Result<Arc<MemoryStore>, StoreFault> {
        self.0.reach(moment).await;
        self.line()
    }

    async fn open(&self) -> Result<Arc<MemoryStore>, StoreFault> {
        self.0.fate.gate().await;
        self.line()
    }

    fn line(&self) -> Result<Arc<MemoryStore>, StoreFault> {
        let things = self.0.world.things();
        if Instant::now() < things.store_back {
            return Err(StoreFault::unavailable("the test has taken the store away"));
        }
        Ok(Arc::clone(&things.store))
    }
}

#[async_trait]
impl DedupeStore for LinedStore {
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault> {
        let answers = self.reach(Moment::BeforeClaim).await?.claim(requests).await?;
        if answers.iter().any(|answer| matches!(answer, Claim::Won(_) | Claim::TakenOver(_))) {
            self.0.reach(Moment::AfterClaim).await;
        }
        Ok(answers)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault> {
        self.open().await?.renew(renewals).await
    }

    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault> {
        let answers = self.reach(Moment::BeforeCompletion).await?.complete(completions).await?;
        self.0.reach(Moment::AfterCompletion).await;
        Ok(answers)
    }

    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault> {
        let answers = self.open().await?.release(releases).await?;
        if releases.iter().any(|release| !release.delay.is_zero()) {
            self.0.reach(Moment::InBackoff).await;
        }
        Ok(answers)
    }

    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault> {
        self.open().await?.inspect(keys).await
    }

    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault> {
        self.open().await?.forget(requests).await
    }

    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault> {
        self.open().await?.anchors(group, topic).await
    }

    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault> {
        self.open().await?.anchor(group, topic, partitions, started).await
    }

    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault> {
        self.open().await?.accept(group, topic, partition, position).await
    }

    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault> {
        self.open().await?.lost(group, topic, partition, from).await
    }

    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault> {
        self.open().await?.begun(group, topic, partition, topic_id).await
    }

    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault> {
        self.open().await?.notes(kind).await
    }

    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault> {
        self.open().await?.note(kind, name, text).await
    }

    async fn describe(&self) -> Result<StoreReport, StoreFault> {
        self.open().await?.describe().await
    }
}
