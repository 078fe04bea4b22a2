//! The claims of one service: asked for, kept alive, completed and given back.
//!
//! A fault of the store is never an answer. Whoever asks waits here until the store is back, or until it is
//! told to stop; nothing runs, settles or is dead-lettered on a guess.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    batcher::Batcher,
    held::{Claimed, HeldClaim, HeldClaims},
    status::Status,
};
use crate::{
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
    caller: Caller,
    /// Renewals run here, where no handler can starve them.
    control: Handle,
    claim: Batcher<ClaimRequest, Claim>,
    complete: Batcher<Completion, Completed>,
    release: Batcher<Release, Released>,
    held: Arc<HeldClaims>,
    renewing: tokio::sync::Mutex<()>,
    status: Arc<Status>,
    layout: Layout,
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
        let answer = self.insist(Some(stop), || self.claim.ask(request.clone())).await?;
        self.count_claims(std::slice::from_ref(&answer));
        Ok(answer)
    }

    /// The same for many at once.
    pub(crate) async fn claim_all(
        &self,
        requests: &[ClaimRequest],
        stop: &CancellationToken,
    ) -> Result<Vec<Claim>, Stopped> {
        let call = || {
            let call = |store: Arc<dyn DedupeStore>| async move { store.claim(requests).await };
            self.caller.clone().timed(DedupeOperation::Claim, call)
        };
        let answers = self.insist(Some(stop), call).await?;
        self.count_claims(&answers);
        Ok(answers)
    }

    fn count_claims(&self, answers: &[Claim]) {
        let outcomes = answers.iter().map(|answer| match answer {
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
        self.count_all(outcomes);
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

    /// Keeps claims alive whose handlers have answered, until they are completed.
    pub(crate) fn hold_all(
        &self,
        completions: &[Completion],
        asked: Instant,
        lease: Duration,
    ) -> Vec<Claimed> {
        let hold = |completion: &Completion| {
            let Completion { held, retention, attempts, fingerprint, .. } = completion;
            let request = ClaimRequest {
                key: held.key.clone(),
                owner: held.owner.clone(),
                lease,
                retention: *retention,
                max_deliveries: 0,
                fingerprint: *fingerprint,
            };
            let grant =
                Grant { token: held.token, attempts: *attempts, takeovers: 0, first_failure_ms: None };
            let claimed = self.hold(&request, grant, asked, CancellationToken::new());
            claimed.end();
            claimed
        };
        completions.iter().map(hold).collect()
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
        let recorded = || async {
            match self.complete.ask(completion.clone()).await? {
                Completed::Foreign => Err(foreign()),
                recorded => Ok(recorded),
            }
        };
        // Without a token to stop it, `insist` ends only with an answer.
        let Ok(recorded) = self.insist(None, recorded).await else { return };
        self.recorded(std::slice::from_ref(&completion), &[recorded]);
    }

    /// The same for many at once, whose claims nobody keeps alive.
    pub(crate) async fn complete_all(&self, completions: &[Completion]) {
        let recorded = || async {
            let call = |store: Arc<dyn DedupeStore>| async move { store.complete(completions).await };
            let recorded = self.caller.clone().timed(DedupeOperation::Complete, call).await?;
            if recorded.contains(&Completed::Foreign) { Err(foreign()) } else { Ok(recorded) }
        };
        let Ok(recorded) = self.insist(None, recorded).await else { return };
        self.recorded(completions, &recorded);
    }

    fn recorded(&self, completions: &[Completion], recorded: &[Completed]) {
        self.count_all(recorded.iter().map(|recorded| match recorded {
            Completed::Recorded | Completed::Foreign => DedupeOutcome::Completed,
            Completed::AlreadyFinished => DedupeOutcome::AlreadyFinished,
            Completed::Stolen => DedupeOutcome::Stolen,
            Completed::Lost => DedupeOutcome::Lost,
        }));
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
        let Renewal { held, retention, .. } = claimed.renewal();
        let release = Release { held, delay, retention, attempts, first_failure_ms, in_doubt };
        self.insist(Some(stop), || self.release.ask(release.clone())).await?;
        self.count(DedupeOutcome::Released);
        Ok(())
    }

    /// Gives claims back of which nothing has run.
    pub(crate) async fn release_all(
        &self,
        releases: &[Release],
        stop: &CancellationToken,
    ) -> Result<(), Stopped> {
        let call = || {
            let call = |store: Arc<dyn DedupeStore>| async move { store.release(releases).await };
            self.caller.clone().timed(DedupeOperation::Release, call)
        };
        let released = self.insist(Some(stop), call).await?;
        self.count_all(released.iter().map(|_| DedupeOutcome::Released));
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
        if let Err(fault) = self.release.ask(release).await {
            tracing::debug!(%fault, "a claim could not be given back; its lease ends by itself");
        }
    }

    fn count(&self, outcome: DedupeOutcome) {
        self.status.metrics.dedupe(outcome, 1);
    }

    /// Counters are shared by all threads, and most neighbours have the same outcome.
    fn count_all(&self, outcomes: impl Iterator<Item = DedupeOutcome>) {
        let mut run: Option<(DedupeOutcome, u64)> = None;
        for outcome in outcomes {
            match &mut run {
                Some((same, number)) if *same == outcome => *number += 1,
                other => {
                    if let Some((before, number)) = other.replace((outcome, 1)) {
                        self.status.metrics.dedupe(before, number);
                    }
                }
            }
        }
        if let Some((outcome, number)) = run {
            self.status.metrics.dedupe(outcome, number);
        }
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
        let _turn = self.renewing.lock().await;
        let held = self.held.all();
        if held.is_empty() {
            return;
        }
        let batch: Vec<Renewal> = held.iter().map(|claim| claim.renewal()).collect();
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
        let Some(news) = claim.renewed(answer, asked) else { return };
        tracing::warn!(key = %claim.key(), "{news}");
        self.count(match answer {
            Renewed::Stolen | Renewed::Finished => DedupeOutcome::Stolen,
            _ => DedupeOutcome::Lost,
        });
    }
}

fn foreign() -> StoreFault {
    StoreFault::unavailable("a key holds a value that is not ours")
}
