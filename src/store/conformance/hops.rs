//! Cases about events that were sent on, to be tried later or again.

use super::bench::{Bench, HOUR, Wrong, holds, only, same, won};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, End, Grant, Held, Inspected, KnownState, Released, Renewal,
    Renewed,
};

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        what_is_dead_begins_anew_when_it_is_sent_on,
        what_was_moved_is_open_to_its_copy_with_its_attempts,
        of_two_copies_of_one_hop_one_runs,
        what_a_copy_has_begun_is_moved_for_all_others,
        what_took_effect_is_open_to_no_copy,
        an_end_from_before_does_not_end_what_was_sent_on,
        whoever_sends_an_event_on_or_writes_its_letter_does_not_end_what_others_hold,
        a_letter_ends_what_was_given_back,
        an_effect_ends_what_has_a_letter,
        an_effect_of_what_was_moved_is_told_to_its_copy,
        what_was_given_back_and_then_moved_waits_for_its_copy_alone_until_it_is_due,
        a_dead_event_may_come_again_with_another_content_and_a_moved_one_not,
        a_mismatch_tells_the_hop_beyond_which_the_event_is_open_again,
        a_claim_that_was_lost_is_made_again_with_its_hop,
        each_end_is_shown_with_its_hop,
    );
    Ok(())
}

fn sent_on(bench: &Bench<'_>, owner: usize, hop: u32) -> ClaimRequest {
    ClaimRequest { hop, ..bench.request(1, owner) }
}

async fn claim(bench: &Bench<'_>, owner: usize, hop: u32) -> Result<Claim, Wrong> {
    only(bench.store.claim(&[sent_on(bench, owner, hop)]).await?)
}

fn held(bench: &Bench<'_>, owner: usize, hop: u32, grant: Grant) -> Held {
    Held { hop, ..bench.held(1, owner, grant.token) }
}

async fn ends(bench: &Bench<'_>, held: Held, end: End) -> Result<Completed, Wrong> {
    let (attempts, first_failure_ms) = (7, Some(-5));
    let completion = Completion { attempts, first_failure_ms, ..bench.completion(held, end) };
    only(bench.store.complete(&[completion]).await?)
}

async fn ended(bench: &Bench<'_>, owner: usize, hop: u32, end: End) -> Result<Grant, Wrong> {
    let grant = won(claim(bench, owner, hop).await?)?;
    same(ends(bench, held(bench, owner, hop, grant), end).await?, Completed::Recorded)?;
    Ok(grant)
}

async fn what_is_dead_begins_anew_when_it_is_sent_on(bench: &Bench<'_>) -> Verdict {
    let mut before = ended(bench, 1, 0, End::Dead).await?;
    for hop in 1..=3 {
        same(claim(bench, 2, hop - 1).await?, Claim::Dead)?;
        let grant = ended(bench, 3, hop, End::Dead).await?;
        holds(grant.token > before.token, "the token did not grow")?;
        same((grant.attempts, grant.takeovers, grant.first_failure_ms), (0, 0, None))?;
        before = grant;
    }
    same(claim(bench, 4, 3).await?, Claim::Dead)
}

async fn what_was_moved_is_open_to_its_copy_with_its_attempts(bench: &Bench<'_>) -> Verdict {
    ended(bench, 1, 0, End::Moved).await?;
    for owner in [1, 2] {
        same(claim(bench, owner, 0).await?, Claim::Moved)?;
    }
    let grant = ended(bench, 3, 1, End::Moved).await?;
    same((grant.attempts, grant.takeovers, grant.first_failure_ms), (7, 0, Some(-5)))?;
    same(claim(bench, 4, 1).await?, Claim::Moved)?;
    ended(bench, 4, 2, End::Done).await?;
    same(claim(bench, 5, 0).await?, Claim::Done)
}

async fn of_two_copies_of_one_hop_one_runs(bench: &Bench<'_>) -> Verdict {
    ended(bench, 1, 0, End::Dead).await?;
    let grant = won(claim(bench, 2, 1).await?)?;
    // As after a lost reply.
    same(claim(bench, 2, 1).await?, Claim::Won(grant))?;
    holds(matches!(claim(bench, 3, 1).await?, Claim::Busy { .. }), "both copies run")?;
    same(ends(bench, held(bench, 2, 1, grant), End::Dead).await?, Completed::Recorded)?;
    same(claim(bench, 3, 1).await?, Claim::Dead)
}

async fn what_a_copy_has_begun_is_moved_for_all_others(bench: &Bench<'_>) -> Verdict {
    ended(bench, 1, 0, End::Moved).await?;
    let grant = won(claim(bench, 2, 1).await?)?;
    same(claim(bench, 3, 0).await?, Claim::Moved)?;
    bench.store.expire_lease(&bench.key(1)).await?;
    same(claim(bench, 3, 0).await?, Claim::Moved)?;
    same(bench.release(held(bench, 2, 1, grant), HOUR).await?, Released::Released)?;
    bench.store.expire_lease(&bench.key(1)).await?;
    same(claim(bench, 3, 0).await?, Claim::Moved)?;
    won(claim(bench, 3, 1).await?).map(drop)
}

async fn what_took_effect_is_open_to_no_copy(bench: &Bench<'_>) -> Verdict {
    ended(bench, 1, 1, End::Done).await?;
    for hop in 0..4 {
        same(claim(bench, 2, hop).await?, Claim::Done)?;
    }
    Ok(())
}

/// A claim of hop 0 whose lease has run out, and that of a second owner who has taken it over with this hop.
async fn taken_over(bench: &Bench<'_>, hop: u32) -> Result<(Held, Held), Wrong> {
    bench.store.lose(&bench.key(1)).await?;
    let before = won(claim(bench, 1, 0).await?)?;
    bench.store.expire_lease(&bench.key(1)).await?;
    let Claim::TakenOver(grant) = claim(bench, 2, hop).await? else {
        return Err(Wrong("the second owner does not take over".to_owned()));
    };
    Ok((held(bench, 1, 0, before), held(bench, 2, hop, grant)))
}

/// The claim still runs, nobody else gets one, and the event ends under it.
async fn runs_and_ends(bench: &Bench<'_>, ours: Held, hop: u32) -> Verdict {
    same(bench.renew(bench.renewal(ours.clone())).await?, Renewed::Kept)?;
    holds(matches!(claim(bench, 3, hop).await?, Claim::Busy { .. }), "another runs beside it")?;
    same(ends(bench, ours.clone(), End::Done).await?, Completed::Recorded)?;
    same(ends(bench, ours, End::Done).await?, Completed::Recorded)?;
    same(claim(bench, 3, hop).await?, Claim::Done)
}

async fn an_end_from_before_does_not_end_what_was_sent_on(bench: &Bench<'_>) -> Verdict {
    for end in [End::Dead, End::Moved] {
        let (before, ours) = taken_over(bench, 1).await?;
        // Who had it before is alive after all.
        same(ends(bench, before, end).await?, Completed::Stolen)?;
        runs_and_ends(bench, ours, 1).await?;
    }
    Ok(())
}

async fn whoever_sends_an_event_on_or_writes_its_letter_does_not_end_what_others_hold(
    bench: &Bench<'_>,
) -> Verdict {
    for end in [End::Dead, End::Moved] {
        let (before, ours) = taken_over(bench, 0).await?;
        same(ends(bench, before, end).await?, Completed::Stolen)?;
        // Its copy is there, or a person has sent the letter back.
        runs_and_ends(bench, ours, 1).await?;
    }
    Ok(())
}

async fn a_letter_ends_what_was_given_back(bench: &Bench<'_>) -> Verdict {
    let grant = won(claim(bench, 1, 0).await?)?;
    let ours = held(bench, 1, 0, grant);
    same(bench.release(ours.clone(), HOUR).await?, Released::Released)?;
    same(ends(bench, ours, End::Dead).await?, Completed::Stolen)?;
    same(claim(bench, 2, 0).await?, Claim::Dead)
}

async fn an_effect_ends_what_has_a_letter(bench: &Bench<'_>) -> Verdict {
    for hop in [0, 1] {
        let (before, ours) = taken_over(bench, hop).await?;
        same(ends(bench, ours, End::Dead).await?, Completed::Recorded)?;
        // Who had it before is alive after all: whoever sends the letter back finds out.
        same(ends(bench, before, End::Done).await?, Completed::Stolen)?;
        same(claim(bench, 3, hop + 1).await?, Claim::Done)?;
    }
    Ok(())
}

async fn an_effect_of_what_was_moved_is_told_to_its_copy(bench: &Bench<'_>) -> Verdict {
    for hop in [0, 1] {
        let (before, ours) = taken_over(bench, hop).await?;
        same(ends(bench, ours, End::Moved).await?, Completed::Recorded)?;
        same(ends(bench, before.clone(), End::Done).await?, Completed::Stolen)?;
        same(ends(bench, before, End::Done).await?, Completed::Recorded)?;
        same(claim(bench, 3, hop + 1).await?, Claim::Done)?;
    }
    Ok(())
}

async fn what_was_given_back_and_then_moved_waits_for_its_copy_alone_until_it_is_due(
    bench: &Bench<'_>,
) -> Verdict {
    for hop in [0, 1] {
        bench.store.lose(&bench.key(1)).await?;
        let ours = held(bench, 1, hop, won(claim(bench, 1, hop).await?)?);
        same(bench.release(ours.clone(), HOUR).await?, Released::Released)?;
        for _ in 0..2 {
            same(ends(bench, ours.clone(), End::Moved).await?, Completed::Recorded)?;
            same(claim(bench, 2, hop).await?, Claim::Moved)?;
            // A copy of before, which is due, does not make it early.
            let is_early = !matches!(claim(bench, 2, hop + 1).await?, Claim::BackingOff { .. });
            holds(!is_early, "a copy was granted it before it was due")?;
        }
        bench.store.expire_lease(&bench.key(1)).await?;
        same(claim(bench, 2, hop).await?, Claim::Moved)?;
        won(claim(bench, 2, hop + 1).await?)?;
    }
    Ok(())
}

async fn a_dead_event_may_come_again_with_another_content_and_a_moved_one_not(bench: &Bench<'_>) -> Verdict {
    let with = |owner, hop, print| ClaimRequest { fingerprint: Some(print), ..sent_on(bench, owner, hop) };
    let ask = async |request| only(bench.store.claim(&[request]).await?);
    let grant = won(ask(with(1, 0, 7)).await?)?;
    same(ends(bench, held(bench, 1, 0, grant), End::Dead).await?, Completed::Recorded)?;
    same(ask(with(2, 0, 8)).await?, Claim::Mismatch { hop: 0 })?;
    let grant = won(ask(with(2, 1, 8)).await?)?;
    same(ends(bench, held(bench, 2, 1, grant), End::Moved).await?, Completed::Recorded)?;
    same(ask(with(3, 2, 7)).await?, Claim::Mismatch { hop: 1 })?;
    won(ask(with(3, 2, 8)).await?).map(drop)
}

async fn a_mismatch_tells_the_hop_beyond_which_the_event_is_open_again(bench: &Bench<'_>) -> Verdict {
    let with = |owner, hop, print| ClaimRequest { fingerprint: Some(print), ..sent_on(bench, owner, hop) };
    let ask = async |request| only(bench.store.claim(&[request]).await?);
    let grant = won(ask(with(1, 3, 7)).await?)?;
    let mismatch = Claim::Mismatch { hop: 3 };
    same(ask(with(2, 0, 8)).await?, mismatch)?;
    same(ends(bench, held(bench, 1, 3, grant), End::Dead).await?, Completed::Recorded)?;
    same(ask(with(2, 0, 8)).await?, mismatch)?;
    let grant = won(ask(with(2, 4, 8)).await?)?;
    same(ends(bench, held(bench, 2, 4, grant), End::Done).await?, Completed::Recorded)?;
    same(ask(with(3, 0, 7)).await?, Claim::Mismatch { hop: 0 })
}

async fn a_claim_that_was_lost_is_made_again_with_its_hop(bench: &Bench<'_>) -> Verdict {
    let grant = won(claim(bench, 1, 2).await?)?;
    bench.store.lose(&bench.key(1)).await?;
    let renewal = Renewal { attempts: 3, ..bench.renewal(held(bench, 1, 2, grant)) };
    same(bench.renew(renewal).await?, Renewed::Recreated)?;
    same(claim(bench, 2, 1).await?, Claim::Moved)?;
    bench.store.lose(&bench.key(1)).await?;
    same(ends(bench, held(bench, 1, 2, grant), End::Dead).await?, Completed::Lost)?;
    same(claim(bench, 2, 2).await?, Claim::Dead)?;
    won(claim(bench, 2, 3).await?).map(drop)
}

async fn each_end_is_shown_with_its_hop(bench: &Bench<'_>) -> Verdict {
    for (hop, end) in [(1, End::Dead), (2, End::Moved)] {
        ended(bench, 1, hop, end).await?;
        let Inspected::Known(known) = only(bench.store.inspect(&[bench.key(1)]).await?)? else {
            return Err(Wrong("it is not known".to_owned()));
        };
        same(&known.state, &KnownState::Ended(end))?;
        same((known.hop, known.attempts), (hop, Some(7)))?;
        same(known.first_failure_ms, if end == End::Moved { Some(-5) } else { None })?;
    }
    Ok(())
}
