//! The claims of one service: asked for, kept alive, completed and given back.
//!
//! A fault of the store is never an answer. Whoever asks waits here until the store is back, or until it is
//! told to stop; nothing runs, settles or is dead-lettered on a guess.

use std::{collections::HashSet, future::Future, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    batcher::Batcher,
    caller::Caller,
    dedupe_notes::{claim_outcome, note_claim, note_completion},
    held::{Claimed, HeldClaim, HeldClaims},
    status::Status,
};
use crate::{
    crash::is_broken,
    evidence::{self, Happened, Note},
    store::{
        Claim, ClaimRequest, Completed, Completion, DedupeStore, End, Grant, Layout, Release, Released,
        Renewal, Renewed, Run, StoreFault,
    },
    telemetry::metrics::{DedupeOperation, DedupeOutcome},
};

/// Somebody asked the work to stop before it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stopped;

/// What is known of an event whose claim is given back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Back {
    /// How long nobody may claim it.
    pub(crate) delay: Duration,
    pub(crate) attempts: u32,
    pub(crate) first_failure_ms: Option<i64>,
    /// It was taken over, and whether it took effect before is not known yet.
    pub(crate) in_doubt: bool,
}

/// The claims of one service.
#[derive(Debug)]
pub(crate) struct Claims {
    pub(super) caller: Caller,
    /// Renewals run here, where no handler can starve them.
    control: Handle,
    claim: Batcher<ClaimRequest, Claim>,
    pub(super) complete: Batcher<Completion, Completed>,
    release: Batcher<Release, Released>,
    pub(super) held: Arc<HeldClaims>,
    renewing: tokio::sync::Mutex<()>,
    pub(super) status: Arc<Status>,
    pub(super) layout: Layout,
}

impl Claims {
    /// Must be called inside of a runtime, which runs the batches.
    pub(crate) fn new(
        store: Arc<dyn DedupeStore>,
        layout: Layout,
        status: Arc<Status>,
        control: Handle,
    ) -> Self {
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
            renewing: tokio::sync::Mutex::default(),
            status,
            layout,
        }
    }

    /// How what has ended is to be kept.
    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// Asks for a claim until the store answers.
    pub(crate) async fn claim(
        &self,
        request: &ClaimRequest,
        stop: &CancellationToken,
    ) -> Result<Claim, Stopped> {
        let answer =
            self.insist(DedupeOperation::Claim, Some(stop), || self.claim.ask(request.clone())).await?;
        self.answered(std::slice::from_ref(request), std::slice::from_ref(&answer)).await;
        Ok(answer)
    }

    /// Takes note of what the store answered.
    pub(super) async fn answered(&self, requests: &[ClaimRequest], answers: &[Claim]) {
        self.count_all(answers.iter().map(claim_outcome));
        if evidence::is_on() {
            requests.iter().zip(answers).for_each(|(request, answer)| note_claim(request, answer));
        }
        if is_broken("mark_before_work") {
            self.mark_before_work(requests, answers).await;
        }
    }

    /// Keeps a claim alive that was `asked` for then and granted. Its end fires `cancelled`.
    pub(crate) fn hold(
        &self,
        request: &ClaimRequest,
        grant: Grant,
        asked: Instant,
        cancelled: CancellationToken,
    ) -> Claimed {
        HeldClaims::add(&self.held, request, grant, asked, cancelled)
    }

    /// Writes into the claim that its handler runs, in a crowd or with nothing else in flight, so that the event
    /// to blame is found should the process die now.
    pub(crate) async fn mark(
        &self,
        claimed: &Claimed,
        run: Run,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        claimed.mark(run);
        // A renewal under way may still say what was true before, and must not come last.
        drop(self.renewing.lock().await);
        let renewal = claimed.renewal();
        self.insist(DedupeOperation::Renew, Some(stop), || self.renew_batch(vec![renewal.clone()])).await?;
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
        claimed.end();
        let renewal = claimed.renewal();
        let completion = Completion {
            held: renewal.held.clone(),
            end,
            retention: renewal.retention,
            attempts,
            fingerprint: renewal.fingerprint,
            layout: self.layout,
        };
        self.complete_at_last(&completion).await;
    }

    pub(super) fn recorded(&self, completions: &[Completion], recorded: &[Completed]) {
        self.count_all(recorded.iter().map(|recorded| match recorded {
            Completed::Recorded => DedupeOutcome::Completed,
            Completed::Foreign => DedupeOutcome::Foreign,
            Completed::AlreadyFinished => DedupeOutcome::AlreadyFinished,
            Completed::Stolen => DedupeOutcome::Stolen,
            Completed::Lost => DedupeOutcome::Lost,
        }));
        if evidence::is_on() {
            completions.iter().zip(recorded).for_each(|(completion, recorded)| {
                evidence::note(|| note_completion(completion, *recorded));
            });
        }
        for (completion, recorded) in completions.iter().zip(recorded) {
            if *recorded == Completed::AlreadyFinished {
                tracing::warn!(key = %completion.held.key, "two workers finished this event: a lease ran out under a live handler");
            }
        }
    }

    /// Gives a claim back: free again after `back.delay`, with these attempts made.
    pub(crate) async fn release(
        &self,
        claimed: &Claimed,
        back: Back,
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        claimed.end();
        let Back { delay, attempts, first_failure_ms, in_doubt } = back;
        let Renewal { mut held, retention, .. } = claimed.renewal();
        if is_broken("unconditional_delete") {
            self.pretend_to_be_whoever_holds(&mut held).await;
        }
        evidence::note(|| Note::held(Happened::Released, &held));
        let release = Release { held, delay, retention, attempts, first_failure_ms, in_doubt };
        self.insist(DedupeOperation::Release, Some(stop), || self.release.ask(release.clone())).await?;
        self.count(DedupeOutcome::Released);
        Ok(())
    }

    /// Gives a claim back as if it had never been asked for, where the store can be reached.
    pub(crate) async fn let_go(&self, claimed: &Claimed) {
        claimed.end();
        let release = Release {
            held: claimed.renewal().held,
            delay: Duration::ZERO,
            retention: Duration::from_millis(1),
            attempts: 0,
            first_failure_ms: None,
            in_doubt: false,
        };
        evidence::note(|| Note::held(Happened::Released, &release.held));
        if let Err(fault) = self.release.ask(release.clone()).await {
            tracing::debug!(%fault, "a claim could not be given back; its lease ends by itself");
        }
    }

    fn count(&self, outcome: DedupeOutcome) {
        self.status.metrics.dedupe(outcome, 1);
    }

    /// Repeats a call until the store answers. Every call is re-entrant, so a lost reply does no harm.
    pub(super) async fn insist<T, F, Fut>(
        &self,
        operation: DedupeOperation,
        stop: Option<&CancellationToken>,
        call: F,
    ) -> Result<T, Stopped>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, StoreFault>>,
    {
        let mut pause = Duration::from_millis(50);
        loop {
            match call().await {
                Ok(answer) => {
                    self.status.store_answered(Some(operation));
                    return Ok(answer);
                }
                Err(fault) => self.status.store_fault(Some(operation), &fault),
            }
            let waited = tokio::time::sleep(pause);
            match stop {
                Some(stop) => tokio::select! {
                    biased;
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
        let _turn = self.renewing.lock().await;
        let held = self.held.all();
        let mut batch: Vec<Renewal> = held.iter().map(|claim| claim.renewal()).collect();
        // Behind the others: what has left its batch says more itself.
        let known: HashSet<u128> = batch.iter().map(|renewal| renewal.held.key.digest()).collect();
        let alone = |renewal: &Renewal| !known.contains(&renewal.held.key.digest());
        batch.extend(self.held.of_batches().into_iter().filter(alone));
        if batch.is_empty() {
            return;
        }
        let asked = Instant::now();
        match self.renew_batch(batch).await {
            Ok(answers) => {
                self.status.store_answered(Some(DedupeOperation::Renew));
                held.iter().zip(answers).for_each(|(claim, answer)| self.renewed(claim, answer, asked));
            }
            // Out of reach is no reason to cancel: the claims may well be there when it comes back.
            Err(fault) => self.status.store_fault(Some(DedupeOperation::Renew), &fault),
        }
    }

    fn renewed(&self, claim: &HeldClaim, answer: Renewed, asked: Instant) {
        let Some(news) = claim.renewed(answer, asked) else { return };
        tracing::warn!(key = %claim.key(), "{news}");
        self.count(match answer {
            Renewed::Stolen | Renewed::Finished => DedupeOutcome::Stolen,
            _ => DedupeOutcome::Lost,
        });
    }
}
