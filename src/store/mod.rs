//! The dedupe store: who may run the handler for one dedupe key, and what is already finished.
//!
//! A claim is a lease with an owner and a fencing token. Every operation is atomic in the store, takes its time from
//! the store's clock and is *re-entrant*: when a reply was lost, the same request may be sent again and is answered as
//! its sender expects. Every operation takes a batch, answers in the order of the batch, one answer per request, and
//! costs one round trip, a second one where something is out of the ordinary; a request sees what the requests before
//! it in the batch have changed.

mod anchors;
mod claim;
mod clock;
pub mod conformance;
mod fault;
mod hold;
mod inspection;
mod key;
mod memory;
mod owner;
mod record;
mod remembered;
mod report;
mod request;

use std::collections::BTreeMap;

use async_trait::async_trait;

pub use anchors::{Accepted, Anchors, InvalidPosition};
pub use claim::{Claim, ClaimRequest, Grant, LEASE_MARGIN};
pub use fault::{FaultKind, StoreFault};
pub use hold::{Completed, Completion, End, Held, Layout, Release, Released, Renewal, Renewed, Run};
pub use inspection::{Forget, Forgotten, Inspected, Known, KnownState, Stamp};
pub use key::{KeySpace, StoreKey};
pub use memory::MemoryStore;
pub use owner::{InvalidOwner, Owner, OwnerFactory, PartitionOwners};
pub use report::StoreReport;

pub(crate) use clock::{Clock, millis};
pub(crate) use key::BUCKETS;
pub(crate) use remembered::{MARGIN_MS, Reach, Reached, Remembered};
pub(crate) use request::{Keyed, Request};

/// Remembers claims, what is finished, and where groups began.
///
/// Whoever writes a store of their own runs [`conformance::run`] against it.
///
/// # Errors
/// Every method fails with a [`StoreFault`] when the store cannot be reached or refuses to serve. The outcome of the
/// call is then unknown, and the same requests may simply be sent again.
#[async_trait]
pub trait DedupeStore: Send + Sync + std::fmt::Debug {
    /// Asks for the right to run the handlers of these keys.
    async fn claim(&self, requests: &[ClaimRequest]) -> Result<Vec<Claim>, StoreFault>;

    /// Extends the leases of work in flight; a claim that the store has lost is made again with the same token.
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Renewed>, StoreFault>;

    /// Records that these events are finished. It is truthful: the effect did happen, so it is recorded even when the
    /// lease was lost meanwhile, and the answer says so.
    async fn complete(&self, completions: &[Completion]) -> Result<Vec<Completed>, StoreFault>;

    /// Gives claims back, to be claimed again after a delay. Never for a handler that has started and not returned.
    async fn release(&self, releases: &[Release]) -> Result<Vec<Released>, StoreFault>;

    /// Looks at what is known of these keys, and changes nothing.
    async fn inspect(&self, keys: &[StoreKey]) -> Result<Vec<Inspected>, StoreFault>;

    /// Forgets keys as they were seen, so that their events may take effect again. Never while a lease runs.
    async fn forget(&self, requests: &[Forget]) -> Result<Vec<Forgotten>, StoreFault>;

    /// What is remembered of the first start of `group` on `topic`; empty when nothing is.
    async fn anchors(&self, group: &str, topic: &str) -> Result<Anchors, StoreFault>;

    /// Remembers the first start of `group` on `topic`: how many partitions the topic had, and the offsets
    /// `(partition, offset)` where reading began. What is already remembered stays as it is, number by number, but where
    /// a person has accepted a loss: there it has begun anew.
    async fn anchor(
        &self,
        group: &str,
        topic: &str,
        partitions: i32,
        started: &[(i32, i64)],
    ) -> Result<(), StoreFault>;

    /// Writes down that a person accepts the loss on a partition and wants to go on at `position`.
    async fn accept(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        position: Accepted,
    ) -> Result<(), StoreFault>;

    /// Writes down that the log of a partition had lost its end: from offset `from` on it holds other records than those
    /// that the group has had. The first time counts, until the partition has [`begun`](Self::begun) again.
    async fn lost(&self, group: &str, topic: &str, partition: i32, from: i64) -> Result<(), StoreFault>;

    /// A partition has begun, in the topic of this id: that is remembered, and what a person had accepted for it is
    /// forgotten, for it was acted upon, as is the end that its log had lost.
    async fn begun(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
        topic_id: Option<&str>,
    ) -> Result<(), StoreFault>;

    /// Small texts that outlive their writers, of one kind, by their names.
    async fn notes(&self, kind: &str) -> Result<BTreeMap<String, String>, StoreFault>;

    /// Writes a note down in the place of any other of this kind and name; `None` takes it away.
    async fn note(&self, kind: &str, name: &str, text: Option<&str>) -> Result<(), StoreFault>;

    /// What the store says about itself: the worker checks it before the first claim and after each reconnect.
    async fn describe(&self) -> Result<StoreReport, StoreFault>;
}
