//! The claims of one service: asked for, kept alive, completed and given back.
//!
//! A fault of the store is never an answer. Whoever asks waits here until the store is back, or until it is
//! told to stop; nothing runs, settles or is dead-lettered on a guess.

use std::{
    collections::HashMap,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::{batcher::Batcher, status::Status};
use crate::{
    store::{
        Claim, ClaimRequest, Completed, Completion, DedupeStore, End, Grant, Held, Release, Released,
        Renewal, Renewed, StoreFault,
    },
    telemetry::metrics::{DedupeOperation, DedupeOutcome},
};

/// Somebody asked the work to stop before it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// The claims of one service.
#[derive(Debug)]
pub(crate) struct Claims {
    caller: Caller,
    /// Renewals run here, where no handler can starve them.
    control: Handle,
    claim: Batcher<ClaimRequest, Claim>,
    complete: Batcher<Completion, Completed>,
    release: Batcher<Release, Released>,
    held: Arc<HeldClaims>,
    status: Arc<Status>,
}

/// Calls the store and takes the time.
#[derive(Debug, Clone)]
struct Caller {
    store: Arc<dyn DedupeStore>,
    status: Arc<Status>,
}

impl Caller {
    async fn timed<T, F: Future<Output = T>>(
        self,
        operation: DedupeOperation,
        call: impl FnOnce(Arc<dyn DedupeStore>) -> F,
    ) -> T {
        let began = Instant::now();
        let answer = call(self.store).await;
        self.status.metrics.dedupe_call(operation, began.elapsed());
        answer
    }
}

/// Every claim that is kept alive.
#[derive(Debug, Default)]
struct HeldClaims {
    next: AtomicU64,
    claims: Mutex<HashMap<u64, Arc<HeldClaim>>>,
}

#[derive(Debug)]
struct HeldClaim {
    renewal: Renewal,
    /// It is being completed or given back: what the renewal finds is no news.
    ending: AtomicBool,
    alone: AtomicBool,
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

impl Claimed {
    /// Fires when somebody else has taken the event over or finished it.
    pub(crate) fn cancelled(&self) -> &CancellationToken {
        &self.claim.cancelled
    }

    /// Whether nobody else can have been granted this claim by now. With the store out of reach for longer
    /// than the lease that is not known, and no handler may begin.
    pub(crate) fn is_certain(&self) -> bool {
        let until = *self.claim.certain_until.lock().unwrap_or_else(PoisonError::into_inner);
        !self.claim.cancelled.is_cancelled() && Instant::now() < until
    }

    fn held(&self) -> Held {
        self.claim.renewal.held.clone()
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.registry.claims.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Claims {
    /// Must be called inside of a runtime, which runs the batches.
    pub(crate) fn new(store: Arc<dyn DedupeStore>, status: Arc<Status>, control: Handle) -> Self {
        let caller = Caller { store, status: Arc::clone(&status) };
        let [claims, completions, releases] = [(); 3].map(|()| caller.clone());
        Self {
            claim: Batcher::start(move |batch: Vec<ClaimRequest>| {
                claims.clone().timed(DedupeOperation::Claim, |store| async move { store.claim(&batch).await })
            }),
            complete: Batcher::start(move |batch: Vec<Completion>| {
                completions
                    .clone()
                    .timed(DedupeOperation::Complete, |store| async move { store.complete(&batch).await })
            }),
            release: Batcher::start(move |batch: Vec<Release>| {
                releases
                    .clone()
                    .timed(DedupeOperation::Release, |store| async move { store.release(&batch).await })
            }),
            caller,
            control,
            held: Arc::default(),
            status,
        }
    }

    /// Asks for a claim until the store answers.
    pub(crate) async fn claim(
        &self,
        request: &ClaimRequest,
        stop: &CancellationToken,
    ) -> Result<Claim, Stopped> {
        let answer = self.insist(Some(stop), || self.claim.ask(request.clone())).await?;
        self.count(match &answer {
            Claim::Won(_) => DedupeOutcome::Won,
            Claim::TakenOver(_) => DedupeOutcome::TakenOver,
            Claim::Done => DedupeOutcome::Done,
            Claim::Dead => DedupeOutcome::Dead,
            Claim::Busy { .. } => DedupeOutcome::Busy,
            Claim::BackingOff { .. } => DedupeOutcome::BackingOff,
            Claim::Spent(_) => DedupeOutcome::Spent,
            Claim::Mismatch => DedupeOutcome::Mismatch,
            Claim::Foreign => DedupeOutcome::Foreign,
        });
        Ok(answer)
    }

    /// Keeps a claim alive that was `asked` for then and granted.
    pub(crate) fn hold(&self, request: &ClaimRequest, grant: Grant, asked: Instant) -> Claimed {
        let renewal = Renewal {
            held: Held { key: request.key.clone(), owner: request.owner.clone(), token: grant.token },
            lease: request.lease,
            retention: request.retention,
            attempts: grant.attempts,
            first_failure_ms: grant.first_failure_ms,
            alone: false,
            fingerprint: request.fingerprint,
        };
        let claim = Arc::new(HeldClaim {
            renewal,
            ending: AtomicBool::new(false),
            alone: AtomicBool::new(false),
            cancelled: CancellationToken::new(),
            certain_until: Mutex::new(asked + request.lease),
        });
        let id = self.held.next.fetch_add(1, Relaxed);
        self.held.claims.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Arc::clone(&claim));
        Claimed { id, claim, registry: Arc::clone(&self.held), grant }
    }

    /// Writes into the claim that its handler runs with nothing else in flight: if the process dies now, this
    /// event is to blame.
    pub(crate) async fn mark_alone(
        &self,
        claimed: &Claimed,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        claimed.claim.alone.store(true, Relaxed);
        let renewal = Renewal { alone: true, ..claimed.claim.renewal.clone() };
        self.insist(Some(stop), || self.renew_batch(vec![renewal.clone()])).await?;
        Ok(())
    }

    async fn renew_batch(&self, batch: Vec<Renewal>) -> Result<Vec<Renewed>, StoreFault> {
        let call = self
            .caller
            .clone()
            .timed(DedupeOperation::Renew, |store| async move { store.renew(&batch).await });
        let call = self.control.spawn(call);
        call.await.unwrap_or_else(|_| Err(StoreFault::unavailable("the worker is stopping")))
    }

    /// Records the end of an event. The effect did happen (or its dead letter is there), so this is said
    /// until the store has heard it, whatever else stops.
    pub(crate) async fn complete(&self, claimed: &Claimed, end: End, attempts: u32) {
        claimed.claim.ending.store(true, Relaxed);
        let renewal = &claimed.claim.renewal;
        let completion = Completion {
            held: claimed.held(),
            end,
            retention: renewal.retention,
            attempts,
            fingerprint: renewal.fingerprint,
        };
        let recorded = || async {
            match self.complete.ask(completion.clone()).await? {
                Completed::Foreign => Err(StoreFault::unavailable("the key holds a value that is not ours")),
                recorded => Ok(recorded),
            }
        };
        // Without a token to stop it, `insist` ends only with an answer.
        let Ok(recorded) = self.insist(None, recorded).await else { return };
        self.count(match recorded {
            Completed::Recorded | Completed::Foreign => DedupeOutcome::Completed,
            Completed::AlreadyFinished => DedupeOutcome::AlreadyFinished,
            Completed::Stolen => DedupeOutcome::Stolen,
            Completed::Lost => DedupeOutcome::Lost,
        });
        if recorded == Completed::AlreadyFinished {
            tracing::warn!(key = %renewal.held.key, "two workers finished this event: a lease ran out under a live handler");
        }
    }

    /// Gives a claim back: free again after `delay`, with these attempts made.
    pub(crate) async fn release(
        &self,
        claimed: &Claimed,
        delay: Duration,
        attempts: u32,
        first_failure_ms: Option<i64>,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        claimed.claim.ending.store(true, Relaxed);
        let retention = claimed.claim.renewal.retention;
        let release = Release { held: claimed.held(), delay, retention, attempts, first_failure_ms };
        self.insist(Some(stop), || self.release.ask(release.clone())).await?;
        self.count(DedupeOutcome::Released);
        Ok(())
    }

    fn count(&self, outcome: DedupeOutcome) {
        self.status.metrics.dedupe(outcome, 1);
    }

    /// Repeats a call until the store answers. Every call is re-entrant, so a lost reply does no harm.
    async fn insist<T, F, Fut>(&self, stop: Option<&CancellationToken>, call: F) -> Result<T, Stopped>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, StoreFault>>,
    {
        let mut pause = Duration::from_millis(50);
        loop {
            match call().await {
                Ok(answer) => {
                    self.status.store_answered();
                    return Ok(answer);
                }
                Err(fault) => self.status.store_fault(&fault),
            }
            let waited = tokio::time::sleep(pause);
            match stop {
                Some(stop) => tokio::select! {
                    () = stop.cancelled() => return Err(Stopped),
                    () = waited => {}
                },
                None => waited.await,
            }
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Keeps every held claim alive, all in one call. The caller paces it to a third of the shortest lease, on
    /// a runtime that no handler can starve.
    pub(crate) async fn renew(&self) {
        let held: Vec<_> = {
            let claims = self.held.claims.lock().unwrap_or_else(PoisonError::into_inner);
            claims.values().cloned().collect()
        };
        if held.is_empty() {
            return;
        }
        let renewal =
            |claim: &Arc<HeldClaim>| Renewal { alone: claim.alone.load(Relaxed), ..claim.renewal.clone() };
        let batch: Vec<Renewal> = held.iter().map(renewal).collect();
        let asked = Instant::now();
        match self.renew_batch(batch).await {
            Ok(answers) => {
                self.status.store_answered();
                held.iter().zip(answers).for_each(|(claim, answer)| self.renewed(claim, answer, asked));
            }
            // Out of reach is no reason to cancel: the claims may well be there when it comes back.
            Err(fault) => self.status.store_fault(&fault),
        }
    }

    fn renewed(&self, claim: &HeldClaim, answer: Renewed, asked: Instant) {
        if matches!(answer, Renewed::Kept | Renewed::Recreated) {
            let mut until = claim.certain_until.lock().unwrap_or_else(PoisonError::into_inner);
            *until = asked + claim.renewal.lease;
        }
        let lost = match answer {
            Renewed::Kept => return,
            Renewed::Recreated => "the store had lost the claim; it is there again",
            Renewed::Stolen => "another worker has taken this event over",
            Renewed::Finished => "another worker has finished this event",
            Renewed::Foreign => "the key holds a value that is not ours",
        };
        if claim.ending.load(Relaxed) {
            return;
        }
        tracing::warn!(key = %claim.renewal.held.key, "{lost}");
        match answer {
            Renewed::Stolen | Renewed::Finished => {
                self.count(DedupeOutcome::Stolen);
                claim.cancelled.cancel();
            }
            _ => self.count(DedupeOutcome::Lost),
        }
    }
}
