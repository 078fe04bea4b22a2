//! Cases about who is granted a claim.

use std::time::Duration;

use super::bench::{Bench, HOUR, Wrong, holds, only, same, taken_over, won};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{Claim, ClaimRequest, Completed, End, Inspected, Released, Renewal, Renewed, Run};

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        an_unknown_key_is_won,
        a_repeated_claim_is_won_again_with_the_same_token,
        a_running_lease_is_busy,
        a_lease_that_ran_out_is_taken_over,
        a_repeated_take_over_is_a_take_over_again,
        a_take_over_given_back_in_doubt_is_a_take_over_again,
        deaths_alone_make_a_key_spent,
        deaths_among_others_never_make_a_key_spent,
        who_only_waited_while_others_died_does_not_come_under_suspicion,
        a_spent_key_that_was_given_back_is_still_spent,
        a_released_claim_backs_off_and_is_won_with_its_attempts,
        finished_events_answer_how_they_ended,
        a_finished_event_is_remembered_from_its_last_duplicate_on,
        another_fingerprint_is_a_mismatch_before_anything_else,
        a_fingerprint_on_one_side_only_matches,
        what_cannot_be_read_is_never_overwritten,
    );
    Ok(())
}

async fn an_unknown_key_is_won(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    holds(
        grant.token > 0 && grant.token < 1 << 53,
        format!("token {} is not within 1 to 2^53", grant.token),
    )?;
    same((grant.attempts, grant.takeovers, grant.first_failure_ms), (0, 0, None))
}

async fn a_repeated_claim_is_won_again_with_the_same_token(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    same(won(bench.claim(1, 1).await?)?, first)?;
    // The repeat extends the lease, even one that has run out.
    bench.store.expire_lease(&bench.key(1)).await?;
    same(won(bench.claim(1, 1).await?)?, first)?;
    holds(matches!(bench.claim(1, 2).await?, Claim::Busy { .. }), "the repeat did not extend the lease")
}

async fn a_running_lease_is_busy(bench: &Bench<'_>) -> Verdict {
    won(bench.claim(1, 1).await?)?;
    match bench.claim(1, 2).await? {
        Claim::Busy { left } => {
            holds(left <= HOUR && left > HOUR / 2, format!("{left:?} of an hour are left"))
        }
        other => Err(Wrong(format!("expected Busy, got {other:?}"))),
    }
}

async fn a_lease_that_ran_out_is_taken_over(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    let renewal = bench.renewal(bench.held(1, 1, first.token));
    let renewal = Renewal { attempts: 3, first_failure_ms: Some(1_234), ..renewal };
    same(bench.renew(renewal).await?, Renewed::Kept)?;
    let second = bench.steal(1, 2).await?;
    holds(second.token > first.token, "the token did not grow")?;
    same((second.attempts, second.takeovers, second.first_failure_ms), (3, 1, Some(1_234)))
}

async fn a_repeated_take_over_is_a_take_over_again(bench: &Bench<'_>) -> Verdict {
    won(bench.claim(1, 1).await?)?;
    let grant = bench.steal(1, 2).await?;
    same(bench.claim(1, 2).await?, Claim::TakenOver(grant))?;
    // A failure that came after it is an ordinary one.
    bench.release(bench.held(1, 2, grant.token), Duration::ZERO).await?;
    won(bench.claim(1, 3).await?).map(|_| ())
}

async fn a_take_over_given_back_in_doubt_is_a_take_over_again(bench: &Bench<'_>) -> Verdict {
    won(bench.claim(1, 1).await?)?;
    let grant = bench.steal(1, 2).await?;
    let mut release = bench.release_of(bench.held(1, 2, grant.token), Duration::ZERO);
    release.in_doubt = true;
    same(only(bench.store.release(&[release]).await?)?, Released::Released)?;
    let next = taken_over(bench.claim(1, 3).await?)?;
    holds(next.token > grant.token, "the token did not grow")?;
    // No lease ran out in between.
    same(next.takeovers, 1)
}

async fn after_deaths(bench: &Bench<'_>, deaths: usize, run: Run) -> Result<Claim, Wrong> {
    let mut claim = bench.claim(1, 0).await?;
    for owner in 0..deaths {
        let (Claim::Won(grant) | Claim::TakenOver(grant)) = claim else {
            return Err(Wrong(format!("owner {owner} was answered {claim:?}")));
        };
        let renewal = bench.renewal(bench.held(1, owner, grant.token));
        same(bench.renew(Renewal { run, ..renewal }).await?, Renewed::Kept)?;
        bench.store.expire_lease(&bench.key(1)).await?;
        claim = bench.claim(1, owner + 1).await?;
    }
    Ok(claim)
}

async fn deaths_alone_make_a_key_spent(bench: &Bench<'_>) -> Verdict {
    let claim = after_deaths(bench, 2, Run::Alone).await?;
    let Claim::Spent(grant) = claim else { return Err(Wrong(format!("expected Spent, got {claim:?}"))) };
    same(grant.takeovers, 2)?;
    same(bench.claim(1, 2).await?, claim)?;
    // It is held, so that the asker can dead-letter it.
    holds(matches!(bench.claim(1, 9).await?, Claim::Busy { .. }), "a spent key is not held")?;
    same(bench.complete(bench.held(1, 2, grant.token), End::Dead).await?, Completed::Recorded)?;
    same(bench.claim(1, 9).await?, Claim::Dead)
}

async fn deaths_among_others_never_make_a_key_spent(bench: &Bench<'_>) -> Verdict {
    let grant = taken_over(after_deaths(bench, 6, Run::InCrowd).await?)?;
    same(grant.takeovers, 6)
}

async fn who_only_waited_while_others_died_does_not_come_under_suspicion(bench: &Bench<'_>) -> Verdict {
    let grant = taken_over(after_deaths(bench, 6, Run::Unknown).await?)?;
    same(grant.takeovers, 1)
}

async fn a_spent_key_that_was_given_back_is_still_spent(bench: &Bench<'_>) -> Verdict {
    let claim = after_deaths(bench, 2, Run::Alone).await?;
    let Claim::Spent(grant) = claim else { return Err(Wrong(format!("expected Spent, got {claim:?}"))) };
    same(bench.release(bench.held(1, 2, grant.token), Duration::ZERO).await?, Released::Released)?;
    let again = bench.claim(1, 3).await?;
    holds(matches!(again, Claim::Spent(_)), format!("expected Spent, got {again:?}"))
}

async fn a_released_claim_backs_off_and_is_won_with_its_attempts(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    let mut release = bench.release_of(bench.held(1, 1, first.token), HOUR);
    release.attempts = 4;
    release.first_failure_ms = Some(-5);
    same(only(bench.store.release(&[release]).await?)?, Released::Released)?;
    for owner in [1, 2] {
        match bench.claim(1, owner).await? {
            Claim::BackingOff { left } => {
                holds(left <= HOUR && left > HOUR / 2, format!("{left:?} are left"))?
            }
            other => return Err(Wrong(format!("expected BackingOff, got {other:?}"))),
        }
    }
    bench.store.expire_lease(&bench.key(1)).await?;
    let second = won(bench.claim(1, 2).await?)?;
    holds(second.token > first.token, "the token did not grow")?;
    same((second.attempts, second.takeovers, second.first_failure_ms), (4, 0, Some(-5)))
}

async fn finished_events_answer_how_they_ended(bench: &Bench<'_>) -> Verdict {
    for (key, end, answer) in [(1, End::Done, Claim::Done), (2, End::Dead, Claim::Dead)] {
        let grant = won(bench.claim(key, 1).await?)?;
        same(bench.complete(bench.held(key, 1, grant.token), end).await?, Completed::Recorded)?;
        same(bench.claim(key, 1).await?, answer)?;
        same(bench.claim(key, 2).await?, answer)?;
    }
    Ok(())
}

async fn a_finished_event_is_remembered_from_its_last_duplicate_on(bench: &Bench<'_>) -> Verdict {
    let remembered = async |key: usize| match only(bench.store.inspect(&[bench.key(key)]).await?)? {
        Inspected::Known(known) => Ok(known.remembered.unwrap_or_default()),
        other => Err(Wrong(format!("expected to be known, got {other:?}"))),
    };
    for (key, end) in [(1, End::Done), (2, End::Dead)] {
        let grant = won(bench.claim(key, 1).await?)?;
        bench.complete(bench.held(key, 1, grant.token), end).await?;
        let longer = ClaimRequest { retention: HOUR * 3, fingerprint: Some(7), ..bench.request(key, 2) };
        bench.store.claim(std::slice::from_ref(&longer)).await?;
        let left = remembered(key).await?;
        holds(left > HOUR * 2, format!("{left:?} are left after a duplicate, of three hours"))?;
        // A worker that remembers for less takes nothing away.
        bench.claim(key, 3).await?;
        let left = remembered(key).await?;
        holds(left > HOUR * 2, format!("{left:?} are left after another duplicate, of three hours"))?;
    }
    Ok(())
}

async fn another_fingerprint_is_a_mismatch_before_anything_else(bench: &Bench<'_>) -> Verdict {
    let claim = |owner, fingerprint| async move {
        let request = ClaimRequest { fingerprint, ..bench.request(1, owner) };
        only(bench.store.claim(&[request]).await?)
    };
    let grant = won(claim(1, Some(u64::MAX)).await?)?;
    same(claim(1, Some(7)).await?, Claim::Mismatch { hop: 0 })?;
    same(claim(2, Some(7)).await?, Claim::Mismatch { hop: 0 })?;
    same(bench.complete(bench.held(1, 1, grant.token), End::Done).await?, Completed::Recorded)?;
    same(claim(2, Some(7)).await?, Claim::Mismatch { hop: 0 })?;
    same(claim(2, Some(u64::MAX)).await?, Claim::Done)
}

async fn a_fingerprint_on_one_side_only_matches(bench: &Bench<'_>) -> Verdict {
    let mut request = bench.request(1, 1);
    let grant = won(only(bench.store.claim(std::slice::from_ref(&request)).await?)?)?;
    request.fingerprint = Some(7);
    same(won(only(bench.store.claim(&[request.clone()]).await?)?)?, grant)?;
    request.fingerprint = None;
    same(won(only(bench.store.claim(&[request.clone()]).await?)?)?, grant)?;
    // The one that was given in between is kept.
    request.fingerprint = Some(8);
    same(only(bench.store.claim(&[request]).await?)?, Claim::Mismatch { hop: 0 })
}

async fn what_cannot_be_read_is_never_overwritten(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let held = bench.held(1, 1, grant.token);
    bench.store.corrupt(&bench.key(1)).await?;
    for _ in 0..2 {
        same(bench.claim(1, 1).await?, Claim::Foreign)?;
        same(bench.renew(bench.renewal(held.clone())).await?, Renewed::Foreign)?;
        same(bench.complete(held.clone(), End::Done).await?, Completed::Foreign)?;
        same(bench.release(held.clone(), Duration::ZERO).await?, Released::Foreign)?;
    }
    Ok(())
}
