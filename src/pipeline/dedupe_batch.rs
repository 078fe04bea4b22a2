//! The claims of many events at once: asked for, completed and given back together.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    dedupe::{Claims, Stopped},
    held::{HeldClaims, KeptBatch},
};
use crate::{
    evidence::{self, Happened, Note},
    store::{Claim, ClaimRequest, Completed, Completion, DedupeStore, Release},
    telemetry::metrics::{DedupeOperation, DedupeOutcome},
};

/// A value in the store that is not ours will not go away by itself.
const FOREIGN_AGAIN: Duration = Duration::from_secs(1);

impl Claims {
    /// Asks for many claims at once, until the store answers.
    pub(crate) async fn claim_all(
        &self,
        requests: &[ClaimRequest],
        stop: &CancellationToken,
    ) -> Result<Vec<Claim>, Stopped> {
        let call = || {
            let call = |store: Arc<dyn DedupeStore>| async move { store.claim(requests).await };
            self.caller.clone().timed(DedupeOperation::Claim, call)
        };
        let answers = self.insist(DedupeOperation::Claim, Some(stop), call).await?;
        self.answered(requests, &answers).await;
        Ok(answers)
    }

    /// Keeps these claims alive, those that were granted, until the answer is dropped.
    pub(crate) fn keep(&self, requests: &[ClaimRequest], claims: &[Claim], asked: Instant) -> Arc<KeptBatch> {
        let mut granted = Vec::with_capacity(requests.len());
        granted.extend(requests.iter().zip(claims).filter_map(|(request, claim)| match claim {
            Claim::Won(grant) | Claim::TakenOver(grant) | Claim::Spent(grant) => {
                Some((request.clone(), grant.token))
            }
            _ => None,
        }));
        HeldClaims::keep(&self.held, granted, asked)
    }

    /// Records the ends of many events at once, until the store has heard them. Answers which of them it does not take,
    /// because their keys hold values that are not ours.
    pub(crate) async fn complete_all(&self, completions: &[Completion]) -> Vec<bool> {
        let recorded = || {
            let call = |store: Arc<dyn DedupeStore>| async move { store.complete(completions).await };
            self.caller.clone().timed(DedupeOperation::Complete, call)
        };
        // Without a token to stop it, `insist` ends only with an answer.
        let recorded = self.insist(DedupeOperation::Complete, None, recorded).await.unwrap_or_default();
        self.recorded(completions, &recorded);
        recorded.iter().map(|recorded| *recorded == Completed::Foreign).collect()
    }

    /// The same for one whose key held a value that was not ours, until it does not any more.
    pub(crate) async fn complete_at_last(&self, completion: &Completion) {
        loop {
            let recorded = || self.complete.ask(completion.clone());
            // Without a token to stop it, `insist` ends only with an answer.
            let Ok(recorded) = self.insist(DedupeOperation::Complete, None, recorded).await else { return };
            if recorded != Completed::Foreign {
                return self.recorded(std::slice::from_ref(completion), &[recorded]);
            }
            self.status.foreign_end(&completion.held.key.to_string());
            tokio::time::sleep(FOREIGN_AGAIN).await;
        }
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
        for release in releases {
            evidence::note(|| Note::held(Happened::Released, &release.held));
        }
        let released = self.insist(DedupeOperation::Release, Some(stop), call).await?;
        self.count_all(released.iter().map(|_| DedupeOutcome::Released));
        Ok(())
    }

    /// Counters are shared by all threads, and most neighbours have the same outcome.
    pub(super) fn count_all(&self, outcomes: impl Iterator<Item = DedupeOutcome>) {
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
}
