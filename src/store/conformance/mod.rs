//! The suite that every [`DedupeStore`] has to pass: one case for each sentence of the contract, and random sequences
//! of operations against a naive model.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use oncewise::store::{MemoryStore, conformance};
//! conformance::run(&MemoryStore::new(), 0..20).await.unwrap();
//! # }
//! ```

mod anchors;
mod batches;
mod bench;
mod claims;
mod holds;
mod hops;
mod inspections;
mod model;
mod random;
mod script;

use std::ops::Range;

use async_trait::async_trait;

use super::{DedupeStore, StoreFault, StoreKey};

/// A store with the back doors that the suite needs, so that no test has to wait for time to pass.
#[async_trait]
pub trait TestStore: DedupeStore {
    /// Lets the lease or back-off of a key be over from now on; nothing happens when it has none.
    async fn expire_lease(&self, key: &StoreKey) -> Result<(), StoreFault>;

    /// Loses the record of a key.
    async fn lose(&self, key: &StoreKey) -> Result<(), StoreFault>;

    /// Puts a value under a key that the store cannot have written.
    async fn corrupt(&self, key: &StoreKey) -> Result<(), StoreFault>;

    /// Whether it keeps ends in short, as [`Layout::Compact`](super::Layout::Compact) allows; whatever it was asked
    /// for. Then, and of ends alone, the suite is content with what is promised there.
    fn keeps_short(&self) -> bool {
        false
    }

    /// Whether it remembers what was claimed for its lease longer, so that nothing has to be written under the key when
    /// it ends.
    fn adds_the_lease(&self) -> bool {
        false
    }
}

/// Where a store differs from the contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{case}: {what}")]
pub struct Violation {
    /// The case, or the seed of the random sequence.
    pub case: String,
    /// What was expected and what came.
    pub what: String,
}

type Verdict = Result<(), bench::Wrong>;

/// Runs each named case with keys of its own.
macro_rules! run_each {
    ($store:expr, $($case:ident),* $(,)?) => {$(
        $case(&super::bench::Bench::new($store))
            .await
            .map_err(|wrong| Violation { case: stringify!($case).replace('_', " "), what: wrong.0 })?;
    )*};
}
use run_each;

/// Runs every case, then one random sequence per seed; `0..200` takes a second or two against a local server.
///
/// Keys are random, so that a store may be shared and run again and again.
///
/// # Errors
/// The first [`Violation`]; one of a random sequence holds the shortest sequence found that still shows it.
pub async fn run(store: &dyn TestStore, seeds: Range<u64>) -> Result<(), Violation> {
    claims::run(store).await?;
    holds::run(store).await?;
    hops::run(store).await?;
    inspections::run(store).await?;
    batches::run(store).await?;
    anchors::run(store).await?;
    for seed in seeds {
        random::run(store, seed).await?;
    }
    Ok(())
}
