//! Cases about renewals, completions and releases.

use std::time::Duration;

use super::bench::{Bench, HOUR, holds, only, same, won};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{Claim, ClaimRequest, Completed, End, Released, Renewed};

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        a_renewal_keeps_what_is_ours_even_after_the_lease,
        a_renewal_tells_what_became_of_the_claim,
        a_renewal_makes_a_lost_claim_again,
        a_completion_is_recorded_once,
        a_completion_tells_the_truth_about_lost_claims,
        a_completion_of_another_is_a_double_effect,
        a_release_is_repeatable_and_only_ours,
    );
    Ok(())
}

async fn a_renewal_keeps_what_is_ours_even_after_the_lease(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let renewal = bench.renewal(bench.held(1, 1, grant.token));
    same(bench.renew(renewal.clone()).await?, Renewed::Kept)?;
    bench.store.expire_lease(&bench.key(1)).await?;
    same(bench.renew(renewal).await?, Renewed::Kept)?;
    holds(matches!(bench.claim(1, 2).await?, Claim::Busy { .. }), "the renewal did not extend the lease")
}

async fn a_renewal_tells_what_became_of_the_claim(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let renewal = bench.renewal(bench.held(1, 1, grant.token));
    let stranger = bench.renewal(bench.held(1, 2, grant.token));
    same(bench.renew(stranger).await?, Renewed::Stolen)?;
    let stale = bench.renewal(bench.held(1, 1, grant.token - 1));
    same(bench.renew(stale).await?, Renewed::Stolen)?;
    let thief = bench.steal(1, 2).await?;
    same(bench.renew(renewal.clone()).await?, Renewed::Stolen)?;
    bench.release(bench.held(1, 2, thief.token), HOUR).await?;
    same(bench.renew(renewal.clone()).await?, Renewed::Stolen)?;
    bench.complete(bench.held(1, 2, thief.token), End::Done).await?;
    same(bench.renew(renewal).await?, Renewed::Finished)
}

async fn a_renewal_makes_a_lost_claim_again(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let mut renewal = bench.renewal(bench.held(1, 1, grant.token));
    renewal.attempts = 2;
    renewal.first_failure_ms = Some(99);
    renewal.fingerprint = Some(5);
    bench.store.lose(&bench.key(1)).await?;
    same(bench.renew(renewal).await?, Renewed::Recreated)?;
    let again = won(bench.claim(1, 1).await?)?;
    same((again.token, again.attempts, again.first_failure_ms), (grant.token, 2, Some(99)))?;
    let other = ClaimRequest { fingerprint: Some(6), ..bench.request(1, 2) };
    same(only(bench.store.claim(&[other]).await?)?, Claim::Mismatch { hop: 0 })
}

async fn a_completion_is_recorded_once(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let held = bench.held(1, 1, grant.token);
    bench.store.expire_lease(&bench.key(1)).await?;
    same(bench.complete(held.clone(), End::Done).await?, Completed::Recorded)?;
    same(bench.complete(held, End::Done).await?, Completed::Recorded)
}

async fn a_completion_tells_the_truth_about_lost_claims(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    bench.steal(1, 2).await?;
    same(bench.complete(bench.held(1, 1, grant.token), End::Done).await?, Completed::Stolen)?;
    same(bench.claim(1, 3).await?, Claim::Done)?;

    let grant = won(bench.claim(2, 1).await?)?;
    bench.store.lose(&bench.key(2)).await?;
    same(bench.complete(bench.held(2, 1, grant.token), End::Done).await?, Completed::Lost)?;
    same(bench.claim(2, 3).await?, Claim::Done)?;

    let grant = won(bench.claim(3, 1).await?)?;
    let held = bench.held(3, 1, grant.token);
    bench.release(held.clone(), HOUR).await?;
    same(bench.complete(held, End::Dead).await?, Completed::Stolen)?;
    same(bench.claim(3, 3).await?, Claim::Dead)
}

async fn a_completion_of_another_is_a_double_effect(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    let second = bench.steal(1, 2).await?;
    same(bench.complete(bench.held(1, 2, second.token), End::Done).await?, Completed::Recorded)?;
    same(bench.complete(bench.held(1, 1, first.token), End::Done).await?, Completed::AlreadyFinished)?;
    same(bench.complete(bench.held(1, 1, first.token), End::Dead).await?, Completed::AlreadyFinished)?;
    same(bench.claim(1, 3).await?, Claim::Done)
}

async fn a_release_is_repeatable_and_only_ours(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let held = bench.held(1, 1, grant.token);
    same(bench.release(bench.held(1, 2, grant.token), HOUR).await?, Released::NotOurs)?;
    same(bench.release(bench.held(1, 1, grant.token - 1), HOUR).await?, Released::NotOurs)?;
    same(bench.release(bench.held(2, 1, grant.token), HOUR).await?, Released::NotOurs)?;
    won(bench.claim(2, 3).await?)?;
    same(bench.release(held.clone(), Duration::ZERO).await?, Released::Released)?;
    same(bench.release(held.clone(), Duration::ZERO).await?, Released::Released)?;
    let next = won(bench.claim(1, 2).await?)?;
    same(bench.release(held.clone(), Duration::ZERO).await?, Released::NotOurs)?;
    bench.complete(bench.held(1, 2, next.token), End::Done).await?;
    same(bench.release(held, Duration::ZERO).await?, Released::Finished)
}
