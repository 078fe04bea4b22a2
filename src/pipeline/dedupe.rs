//! The claims of one service: asked for, kept alive, completed and given back.
//!
//! A fault of the store is never an answer. Whoever asks waits here until the store is back, or until it is
//! told to stop; nothing runs, settles or is dead-lettered on a guess.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    batcher::Batcher,
    caller::Caller,
    dedupe_notes::{claim_outcome, note_claim, note_completion},
    held::{Claimed, HeldClaims},
    status::Status,
};
use crate::{
    crash::is_broken,
    evidence::{self, Happened, Note},
    store::{
        Claim, ClaimRequest, Completed, Completion, DedupeStore, End, Grant, Inspected, Known, Layout,
        Release, Released, Renewal, StoreFault, StoreKey,
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
    pub(super) control: Handle,
    claim: Batcher<ClaimRequest, Claim>,
    pub(super) complete: Batcher<Completion, Completed>,
    release: Batcher<Release, Released>,
    pub(super) held: Arc<HeldClaims>,
    pub(super) renewing: tokio::sync::Mutex<()>,
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

    /// Records the end of an event. The effect did happen (or its dead letter is there), so this is said
    /// until the store has heard it, whatever else stops.
    pub(crate) async fn complete(
        &self,
        claimed: &Claimed,
        end: End,
        attempts: u32,
        first_failure_ms: Option<i64>,
    ) {
        claimed.end();
        let renewal = claimed.renewal();
        let completion = Completion {
            held: renewal.held.clone(),
            end,
            retention: renewal.retention,
            attempts,
            first_failure_ms,
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

    /// What the store knows of a key, where it answers.
    pub(super) async fn look(&self, key: &StoreKey) -> Option<Known> {
        let answers = self.caller.store.inspect(std::slice::from_ref(key)).await;
        match answers.map(|mut answers| answers.pop()) {
            Ok(Some(Inspected::Known(known))) => Some(known),
            Ok(_) => None,
            Err(fault) => {
                self.status.store_fault(None, &fault);
                None
            }
        }
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

    pub(super) fn count(&self, outcome: DedupeOutcome) {
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
}
