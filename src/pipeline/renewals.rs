//! The renewals of a service's claims.

use std::collections::HashSet;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    dedupe::{Claims, Stopped},
    held::{Claimed, HeldClaim},
};
use crate::{
    store::{Renewal, Renewed, Run, StoreFault},
    telemetry::metrics::{DedupeOperation, DedupeOutcome},
};

impl Claims {
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
        let ask = || async {
            let asked = Instant::now();
            match &self.renew_batch(vec![renewal.clone()]).await?[..] {
                [Renewed::Unanswered] | [] => Err(StoreFault::unavailable("a claim was not answered for")),
                [answer, ..] => Ok((*answer, asked)),
            }
        };
        let (answer, asked) = self.insist(DedupeOperation::Renew, Some(stop), ask).await?;
        // Whoever held it before may have finished it meanwhile: then it must not begin.
        self.renewed(claimed.held(), answer, asked);
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
                if answers.contains(&Renewed::Unanswered) {
                    let fault = StoreFault::unavailable("a part of the store did not answer for its claims");
                    self.status.store_fault(Some(DedupeOperation::Renew), &fault);
                } else {
                    self.status.store_answered(Some(DedupeOperation::Renew));
                }
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

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::runtime::Handle;

    use super::*;
    use crate::{
        config::OnUnavailable,
        pipeline::Status,
        store::{
            Claim, ClaimRequest, Completion, DedupeStore, End, Held, Layout, MemoryStore, OwnerFactory,
            StoreKey,
        },
        telemetry::{Health, metrics::Metrics},
    };

    const LEASE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn what_another_has_finished_meanwhile_does_not_begin() {
        let store = Arc::new(MemoryStore::new());
        let status = Status::new(
            Metrics::new().service("shop"),
            Health::default().service("shop"),
            OnUnavailable::Fail,
        );
        let claims = Claims::new(Arc::clone(&store) as _, Layout::Keys, Arc::new(status), Handle::current());
        let owners = OwnerFactory::new();
        let request = ClaimRequest {
            key: StoreKey::new("oncewise", "group", "handler", "event"),
            owner: owners.delivery(1, "topic", 0, 0),
            lease: LEASE,
            retention: LEASE,
            max_deliveries: 3,
            fingerprint: None,
            hop: 0,
        };
        let (stop, asked) = (CancellationToken::new(), Instant::now());
        let Ok(Claim::Won(grant)) = claims.claim(&request, &stop).await else { panic!("not granted") };
        let claimed = claims.hold(&request, grant, asked, CancellationToken::new());
        assert_eq!(claims.mark(&claimed, Run::InCrowd, &stop).await, Ok(()));
        assert!(claimed.is_certain());
        // Its owner of before is alive after all, and its effect did happen.
        let end = Completion {
            held: Held { owner: owners.delivery(2, "topic", 0, 0), key: request.key, token: 0, hop: 0 },
            end: End::Done,
            retention: LEASE,
            attempts: 1,
            first_failure_ms: None,
            fingerprint: None,
            layout: Layout::Keys,
        };
        store.complete(&[end]).await.unwrap();
        assert_eq!(claims.mark(&claimed, Run::InCrowd, &stop).await, Ok(()));
        assert!(!claimed.is_certain());
    }
}
