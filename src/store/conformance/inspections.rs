//! Cases about looking at keys and forgetting them.

use std::time::Duration;

use super::bench::{Bench, HOUR, Wrong, holds, only, same, won};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{
    Claim, ClaimRequest, Completed, End, Forget, Forgotten, Inspected, Known, KnownState, Release, Stamp,
};

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        each_state_is_shown_as_it_is,
        a_look_changes_nothing,
        what_was_forgotten_may_run_again_as_if_it_were_new,
        what_is_being_worked_on_is_not_forgotten,
        what_has_changed_since_it_was_seen_is_not_forgotten,
        what_cannot_be_read_is_neither_shown_nor_forgotten,
    );
    Ok(())
}

async fn look(bench: &Bench<'_>, key: usize) -> Result<Inspected, Wrong> {
    only(bench.store.inspect(&[bench.key(key)]).await?)
}

async fn known(bench: &Bench<'_>, key: usize) -> Result<Known, Wrong> {
    match look(bench, key).await? {
        Inspected::Known(known) => Ok(known),
        other => Err(Wrong(format!("expected to be known, got {other:?}"))),
    }
}

async fn forget(bench: &Bench<'_>, key: usize, stamp: &Stamp) -> Result<Forgotten, Wrong> {
    only(bench.store.forget(&[Forget { key: bench.key(key), stamp: stamp.clone() }]).await?)
}

async fn each_state_is_shown_as_it_is(bench: &Bench<'_>) -> Verdict {
    same(look(bench, 1).await?, Inspected::Unknown)?;
    let request = ClaimRequest { fingerprint: Some(5), ..bench.request(1, 1) };
    let grant = won(only(bench.store.claim(&[request]).await?)?)?;
    let seen = known(bench, 1).await?;
    match seen.state {
        KnownState::Claimed { owner, left } => {
            same(owner, bench.owner(1))?;
            holds(left > HOUR / 2 && left <= HOUR, format!("{left:?} of an hour are left"))?;
        }
        other => return Err(Wrong(format!("expected Claimed, got {other:?}"))),
    }
    same((seen.token, seen.attempts, seen.takeovers), (Some(grant.token), Some(0), Some(0)))?;
    same((seen.first_failure_ms, seen.fingerprint), (None, Some(5)))?;
    holds(seen.remembered.is_some_and(|kept| kept > HOUR / 2), format!("{:?}", seen.remembered))?;

    bench.store.expire_lease(&bench.key(1)).await?;
    let nothing_left = Duration::ZERO;
    let abandoned = KnownState::Claimed { owner: bench.owner(1), left: nothing_left };
    same(known(bench, 1).await?.state, abandoned)?;

    let thief = bench.steal(1, 2).await?;
    let held = bench.held(1, 2, thief.token);
    let release = Release { attempts: 3, first_failure_ms: Some(-7), ..bench.release_of(held.clone(), HOUR) };
    bench.store.release(&[release]).await?;
    let seen = known(bench, 1).await?;
    let waits = matches!(seen.state, KnownState::Waiting { left } if left > HOUR / 2 && left <= HOUR);
    holds(waits, format!("expected to wait, got {:?}", seen.state))?;
    same((seen.attempts, seen.takeovers, seen.first_failure_ms), (Some(3), Some(1), Some(-7)))?;

    for (end, key) in [(End::Done, 1), (End::Dead, 2)] {
        bench.store.complete(&[bench.completion(bench.held(key, 2, thief.token), end)]).await?;
        let seen = known(bench, key).await?;
        attempted(bench, &seen, 1)?;
        same(seen.state, KnownState::Ended(end))?;
        same((seen.takeovers, seen.first_failure_ms), (None, None))?;
    }
    let mut often = bench.completion(bench.held(3, 1, 7), End::Done);
    often.attempts = 1_000;
    bench.store.complete(&[often]).await?;
    attempted(bench, &known(bench, 3).await?, 99)
}

/// Of an end in short, and of nothing else, token and attempts need not be known.
pub(super) fn attempted(bench: &Bench<'_>, seen: &Known, attempts: u32) -> Verdict {
    let short = bench.store.keeps_short() && seen.attempts.is_none() && seen.token.is_none();
    if short { Ok(()) } else { same((seen.attempts, seen.token.is_some()), (Some(attempts), true)) }
}

async fn a_look_changes_nothing(bench: &Bench<'_>) -> Verdict {
    look(bench, 1).await?;
    let grant = won(bench.claim(1, 1).await?)?;
    let first = known(bench, 1).await?;
    same(known(bench, 1).await?.stamp, first.stamp)?;
    same(bench.complete(bench.held(1, 1, grant.token), End::Done).await?, Completed::Recorded)
}

async fn what_was_forgotten_may_run_again_as_if_it_were_new(bench: &Bench<'_>) -> Verdict {
    for (key, end) in [(1, Some(End::Done)), (2, Some(End::Dead)), (3, None)] {
        let grant = won(bench.claim(key, 1).await?)?;
        let held = bench.held(key, 1, grant.token);
        match end {
            Some(end) => drop(bench.complete(held, end).await?),
            None => drop(bench.release(held, HOUR).await?),
        }
        let stamp = known(bench, key).await?.stamp;
        same(forget(bench, key, &stamp).await?, Forgotten::Forgotten)?;
        same(look(bench, key).await?, Inspected::Unknown)?;
        // As after a lost reply.
        same(forget(bench, key, &stamp).await?, Forgotten::Forgotten)?;
        let again = won(bench.claim(key, 2).await?)?;
        same((again.attempts, again.takeovers), (0, 0))?;
    }
    Ok(())
}

async fn what_is_being_worked_on_is_not_forgotten(bench: &Bench<'_>) -> Verdict {
    won(bench.claim(1, 1).await?)?;
    let stamp = known(bench, 1).await?.stamp;
    match forget(bench, 1, &stamp).await? {
        Forgotten::Busy { left } => holds(left > HOUR / 2 && left <= HOUR, format!("busy for {left:?}"))?,
        other => return Err(Wrong(format!("expected Busy, got {other:?}"))),
    }
    holds(matches!(bench.claim(1, 2).await?, Claim::Busy { .. }), "the claim is gone")?;
    bench.store.expire_lease(&bench.key(1)).await?;
    let stamp = known(bench, 1).await?.stamp;
    same(forget(bench, 1, &stamp).await?, Forgotten::Forgotten)
}

async fn what_has_changed_since_it_was_seen_is_not_forgotten(bench: &Bench<'_>) -> Verdict {
    let grant = won(bench.claim(1, 1).await?)?;
    let held = bench.held(1, 1, grant.token);
    bench.release(held.clone(), HOUR).await?;
    let stamp = known(bench, 1).await?.stamp;
    bench.complete(held, End::Done).await?;
    same(forget(bench, 1, &stamp).await?, Forgotten::Changed)?;
    same(bench.claim(1, 2).await?, Claim::Done)
}

async fn what_cannot_be_read_is_neither_shown_nor_forgotten(bench: &Bench<'_>) -> Verdict {
    // Each of the values that a back door has to offer.
    for key in 1..=20 {
        won(bench.claim(key, 1).await?)?;
        let stamp = known(bench, key).await?.stamp;
        bench.store.corrupt(&bench.key(key)).await?;
        same(look(bench, key).await?, Inspected::Foreign)?;
        same(forget(bench, key, &stamp).await?, Forgotten::Foreign)?;
        same(bench.claim(key, 1).await?, Claim::Foreign)?;
    }
    Ok(())
}
