//! The claims that this process holds, each kept alive until it is dropped.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::store::{ClaimRequest, Grant, Held, LEASE_MARGIN, Renewal, Renewed, Run, StoreKey};

/// Every claim that is kept alive, in the order in which they were granted: a run that is repeated renews them alike.
#[derive(Debug, Default)]
pub(super) struct HeldClaims {
    next: AtomicU64,
    claims: Mutex<BTreeMap<u64, Arc<HeldClaim>>>,
    batches: Mutex<BTreeMap<u64, ClaimsOfBatch>>,
}

/// What a batch was granted, under these tokens.
#[derive(Debug)]
struct ClaimsOfBatch {
    asked: Instant,
    granted: Vec<(ClaimRequest, u64)>,
}

/// A batch whose claims are kept alive until this is dropped, should it last so long.
#[derive(Debug)]
pub(crate) struct KeptBatch {
    id: u64,
    registry: Arc<HeldClaims>,
}

#[derive(Debug)]
pub(super) struct HeldClaim {
    /// What the next renewal says.
    renewal: Mutex<Renewal>,
    /// It is being completed or given back: what the renewal finds is no news.
    ending: AtomicBool,
    cancelled: CancellationToken,
    /// The store cannot have let the lease run out before this.
    certain_until: Mutex<Instant>,
}

/// A claim that we hold; it is renewed until this is dropped.
#[derive(Debug)]
pub(crate) struct Claimed {
    id: u64,
    claim: Arc<HeldClaim>,
    registry: Arc<HeldClaims>,
    pub(crate) grant: Grant,
}

impl HeldClaims {
    /// Keeps a claim alive that was `asked` for then and granted. Its end fires `cancelled`.
    pub(super) fn add(
        registry: &Arc<Self>,
        request: &ClaimRequest,
        grant: Grant,
        asked: Instant,
        cancelled: CancellationToken,
    ) -> Claimed {
        let renewal = Renewal {
            held: Held {
                key: request.key.clone(),
                owner: request.owner.clone(),
                token: grant.token,
                hop: request.hop,
            },
            lease: request.lease,
            retention: request.retention,
            attempts: grant.attempts,
            first_failure_ms: grant.first_failure_ms,
            run: Run::Unknown,
            fingerprint: request.fingerprint,
        };
        let claim = Arc::new(HeldClaim {
            renewal: Mutex::new(renewal),
            ending: AtomicBool::new(false),
            cancelled,
            certain_until: Mutex::new(certain_until(asked, request.lease)),
        });
        let id = registry.next.fetch_add(1, Relaxed);
        lock(&registry.claims).insert(id, Arc::clone(&claim));
        Claimed { id, claim, registry: Arc::clone(registry), grant }
    }

    /// Keeps the claims of a batch alive that were `asked` for then and granted.
    pub(super) fn keep(
        registry: &Arc<Self>,
        granted: Vec<(ClaimRequest, u64)>,
        asked: Instant,
    ) -> Arc<KeptBatch> {
        let id = registry.next.fetch_add(1, Relaxed);
        lock(&registry.batches).insert(id, ClaimsOfBatch { asked, granted });
        Arc::new(KeptBatch { id, registry: Arc::clone(registry) })
    }

    /// Of the batches that have lasted for a third of their leases. Most never do.
    pub(super) fn of_batches(&self) -> Vec<Renewal> {
        let mut renewals = Vec::new();
        for ClaimsOfBatch { asked, granted } in lock(&self.batches).values() {
            let age = asked.elapsed();
            let old = granted.iter().filter(|(request, _)| age >= request.lease / 3);
            renewals.extend(old.map(|(request, token)| Renewal {
                held: Held {
                    key: request.key.clone(),
                    owner: request.owner.clone(),
                    token: *token,
                    hop: request.hop,
                },
                lease: request.lease,
                retention: request.retention,
                attempts: 0,
                first_failure_ms: None,
                run: Run::Unknown,
                fingerprint: request.fingerprint,
            }));
        }
        renewals
    }

    pub(super) fn all(&self) -> Vec<Arc<HeldClaim>> {
        lock(&self.claims).values().cloned().collect()
    }
}

impl HeldClaim {
    pub(super) fn renewal(&self) -> Renewal {
        lock(&self.renewal).clone()
    }

    pub(super) fn key(&self) -> StoreKey {
        lock(&self.renewal).held.key.clone()
    }

    /// Takes the answer to a renewal that was `asked` for then. What there is to tell, unless the claim stands.
    pub(super) fn renewed(&self, answer: Renewed, asked: Instant) -> Option<&'static str> {
        if matches!(answer, Renewed::Kept | Renewed::Recreated) {
            *lock(&self.certain_until) = certain_until(asked, lock(&self.renewal).lease);
        }
        let news = match answer {
            Renewed::Kept | Renewed::Unanswered => return None,
            Renewed::Recreated => "the store had lost the claim; it is there again",
            Renewed::Stolen => "another worker has taken this event over",
            Renewed::Finished => "another worker has finished this event",
            Renewed::Foreign => "the key holds a value that is not ours",
        };
        if self.ending.load(Relaxed) {
            return None;
        }
        if matches!(answer, Renewed::Stolen | Renewed::Finished) {
            self.cancelled.cancel();
        }
        Some(news)
    }
}

impl Claimed {
    /// Fires when somebody else has taken the event over or finished it.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.claim.cancelled
    }

    /// Whether nobody else can have been granted this claim by now. With the store out of reach for longer
    /// than the lease that is not known, and no handler may begin.
    pub(crate) fn is_certain(&self) -> bool {
        !self.claim.cancelled.is_cancelled() && Instant::now() < *lock(&self.claim.certain_until)
    }

    /// Attempt number `attempt` begins: whoever takes the event over from a dead worker counts it.
    pub(crate) fn begin(&self, attempt: u32) {
        let mut renewal = lock(&self.claim.renewal);
        (renewal.attempts, renewal.first_failure_ms) = (attempt, self.grant.first_failure_ms);
    }

    /// From now on renewals say that its handler runs so.
    pub(super) fn mark(&self, run: Run) {
        lock(&self.claim.renewal).run = run;
    }

    /// It is being completed or given back.
    pub(super) fn end(&self) {
        self.claim.ending.store(true, Relaxed);
    }

    pub(super) fn renewal(&self) -> Renewal {
        self.claim.renewal()
    }

    pub(super) fn key(&self) -> StoreKey {
        self.claim.key()
    }

    pub(super) fn held(&self) -> &HeldClaim {
        &self.claim
    }
}

impl Drop for KeptBatch {
    fn drop(&mut self) {
        lock(&self.registry.batches).remove(&self.id);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        lock(&self.registry.claims).remove(&self.id);
    }
}

fn certain_until(asked: Instant, lease: Duration) -> Instant {
    asked + lease.saturating_sub(LEASE_MARGIN)
}

/// A panic while one of these was held leaves whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
