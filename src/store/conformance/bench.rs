use std::fmt::Debug;
use std::time::Duration;

use super::TestStore;
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, End, Grant, Held, Layout, Owner, OwnerFactory, Release,
    Released, Renewal, Renewed, Run, StoreFault, StoreKey,
};

/// So long that no test outlives it.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// What a case works with: a store, keys nobody else uses, owners by number.
pub(super) struct Bench<'a> {
    pub(super) store: &'a dyn TestStore,
    space: String,
    owners: OwnerFactory,
}

/// Why a case failed.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) String);

impl From<StoreFault> for Wrong {
    fn from(fault: StoreFault) -> Self {
        Self(format!("the store failed: {fault}"))
    }
}

/// Fails unless both are the same.
pub(super) fn same<T: PartialEq + Debug>(got: T, want: T) -> Result<(), Wrong> {
    if got == want { Ok(()) } else { Err(Wrong(format!("expected {want:?}, got {got:?}"))) }
}

/// Fails unless the sentence holds.
pub(super) fn holds(condition: bool, sentence: impl Into<String>) -> Result<(), Wrong> {
    if condition { Ok(()) } else { Err(Wrong(sentence.into())) }
}

/// The one answer to a batch of one.
pub(super) fn only<T: Debug>(mut answers: Vec<T>) -> Result<T, Wrong> {
    match answers.pop() {
        Some(answer) if answers.is_empty() => Ok(answer),
        _ => Err(Wrong("expected one answer per request".to_owned())),
    }
}

pub(super) fn won(claim: Claim) -> Result<Grant, Wrong> {
    match claim {
        Claim::Won(grant) => Ok(grant),
        other => Err(Wrong(format!("expected Won, got {other:?}"))),
    }
}

pub(super) fn taken_over(claim: Claim) -> Result<Grant, Wrong> {
    match claim {
        Claim::TakenOver(grant) => Ok(grant),
        other => Err(Wrong(format!("expected TakenOver, got {other:?}"))),
    }
}

impl<'a> Bench<'a> {
    pub(super) fn new(store: &'a dyn TestStore) -> Self {
        Self { store, space: format!("{:032x}", rand::random::<u128>()), owners: OwnerFactory::new() }
    }

    /// A group or topic that nobody else uses.
    pub(super) fn space(&self) -> &str {
        &self.space
    }

    pub(super) fn key(&self, number: usize) -> StoreKey {
        StoreKey::new("conformance", &self.space, "handler", number.to_string())
    }

    pub(super) fn owner(&self, number: usize) -> Owner {
        self.owners.delivery(1, "topic", 0, i64::try_from(number).unwrap_or(0))
    }

    pub(super) fn held(&self, key: usize, owner: usize, token: u64) -> Held {
        Held { key: self.key(key), owner: self.owner(owner), token, hop: 0 }
    }

    pub(super) fn request(&self, key: usize, owner: usize) -> ClaimRequest {
        let (key, owner) = (self.key(key), self.owner(owner));
        ClaimRequest {
            key,
            owner,
            lease: HOUR,
            retention: HOUR,
            max_deliveries: 2,
            fingerprint: None,
            hop: 0,
        }
    }

    pub(super) fn renewal(&self, held: Held) -> Renewal {
        Renewal {
            held,
            lease: HOUR,
            retention: HOUR,
            attempts: 0,
            first_failure_ms: None,
            run: Run::Unknown,
            fingerprint: None,
        }
    }

    pub(super) fn completion(&self, held: Held, end: End) -> Completion {
        Completion {
            held,
            end,
            retention: HOUR,
            attempts: 1,
            first_failure_ms: None,
            fingerprint: None,
            layout: Layout::default(),
        }
    }

    pub(super) fn release_of(&self, held: Held, delay: Duration) -> Release {
        Release { held, delay, retention: HOUR, attempts: 1, first_failure_ms: None, in_doubt: false }
    }

    /// How long a record may be remembered that was asked for for an hour.
    pub(super) fn longest(&self) -> Duration {
        let rounded = if self.store.keeps_short() { HOUR * 5 / 4 } else { HOUR };
        // All leases here are of an hour.
        if self.store.adds_the_lease() { rounded + HOUR } else { rounded }
    }

    pub(super) async fn claim(&self, key: usize, owner: usize) -> Result<Claim, Wrong> {
        only(self.store.claim(&[self.request(key, owner)]).await?)
    }

    pub(super) async fn renew(&self, renewal: Renewal) -> Result<Renewed, Wrong> {
        only(self.store.renew(&[renewal]).await?)
    }

    pub(super) async fn complete(&self, held: Held, end: End) -> Result<Completed, Wrong> {
        only(self.store.complete(&[self.completion(held, end)]).await?)
    }

    pub(super) async fn release(&self, held: Held, delay: Duration) -> Result<Released, Wrong> {
        only(self.store.release(&[self.release_of(held, delay)]).await?)
    }

    /// Lets the lease of a key run out and another owner take it.
    pub(super) async fn steal(&self, key: usize, thief: usize) -> Result<Grant, Wrong> {
        self.store.expire_lease(&self.key(key)).await?;
        taken_over(self.claim(key, thief).await?)
    }
}
