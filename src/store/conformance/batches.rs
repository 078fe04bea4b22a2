//! Cases about batches and about forgetting.

use std::time::Duration;

use tokio::time::Instant;

use super::bench::{Bench, HOUR, Wrong, holds, only, same, won};
use super::inspections::attempted;
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, End, Held, Inspected, KnownState, Release, Renewal,
};

/// A retention that is over before anybody has waited for it.
const BRIEF: Duration = Duration::from_millis(1);

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        a_batch_is_answered_in_order_and_sees_itself,
        claims_of_one_key_see_each_other,
        completions_of_one_key_see_each_other,
        a_batch_of_all_kinds_is_answered_one_by_one,
        every_request_has_a_lease_of_its_own,
        an_empty_batch_has_no_answers,
        a_large_batch_is_answered_completely,
        every_write_has_the_retention_of_its_request,
    );
    Ok(())
}

async fn a_batch_is_answered_in_order_and_sees_itself(bench: &Bench<'_>) -> Verdict {
    let requests = [bench.request(1, 1), bench.request(1, 2), bench.request(2, 3), bench.request(1, 1)];
    let answers = bench.store.claim(&requests).await?;
    let [first, second, third, fourth] = answers[..] else {
        return Err(Wrong(format!("expected 4 answers, got {answers:?}")));
    };
    let grant = won(first)?;
    holds(matches!(second, Claim::Busy { .. }), format!("expected Busy, got {second:?}"))?;
    won(third)?;
    same(fourth, first)?;
    let held = bench.held(1, 1, grant.token);
    let twice = [bench.completion(held.clone(), End::Done), bench.completion(held, End::Done)];
    same(bench.store.complete(&twice).await?, vec![Completed::Recorded; 2])
}

async fn claims_of_one_key_see_each_other(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    let with = |owner, print| ClaimRequest { fingerprint: Some(print), ..bench.request(1, owner) };
    // The repeat gives the record its fingerprint, which the next one does not match.
    let answers = bench.store.claim(&[with(1, 7), with(2, 8), with(1, 7)]).await?;
    same(answers, vec![Claim::Won(first), Claim::Mismatch { hop: 0 }, Claim::Won(first)])?;
    bench.store.expire_lease(&bench.key(1)).await?;
    let answers = bench.store.claim(&[with(2, 7), with(3, 7), with(2, 8), with(2, 7)]).await?;
    let [Claim::TakenOver(grant), Claim::Busy { .. }, Claim::Mismatch { hop: 0 }, again] = answers[..] else {
        return Err(Wrong(format!("expected one to take over, got {answers:?}")));
    };
    same(again, Claim::TakenOver(grant))
}

async fn completions_of_one_key_see_each_other(bench: &Bench<'_>) -> Verdict {
    let first = won(bench.claim(1, 1).await?)?;
    let second = bench.steal(1, 2).await?;
    let (ours, theirs) = (bench.held(1, 1, first.token), bench.held(1, 2, second.token));
    let end = |held: &Held, end| Completion { attempts: 7, ..bench.completion(held.clone(), end) };
    let (done, dead) = (|held| end(held, End::Done), |held| end(held, End::Dead));
    // The letter of who has lost it counts for nothing, that of who has it ends it, and the effect of the other is what
    // stays; whoever comes later finds out, and changes nothing.
    let batch = [dead(&ours), dead(&theirs), done(&ours), done(&theirs)];
    let (already, recorded, stolen) = (Completed::AlreadyFinished, Completed::Recorded, Completed::Stolen);
    same(bench.store.complete(&batch).await?, vec![stolen, recorded, stolen, already])?;
    same(bench.store.complete(&batch).await?, vec![recorded, already, recorded, already])?;
    match only(bench.store.inspect(&[bench.key(1)]).await?)? {
        Inspected::Known(known) => {
            same(&known.state, &KnownState::Ended(End::Done))?;
            attempted(bench, &known, 7)?;
            holds(known.token.is_none_or(|token| token == first.token), format!("{:?}", known.token))
        }
        other => Err(Wrong(format!("expected to be known, got {other:?}"))),
    }
}

async fn a_batch_of_all_kinds_is_answered_one_by_one(bench: &Bench<'_>) -> Verdict {
    let held = |key| async move {
        let request = ClaimRequest { fingerprint: Some(7), ..bench.request(key, 1) };
        let grant = won(only(bench.store.claim(&[request]).await?)?)?;
        Ok::<Held, Wrong>(bench.held(key, 1, grant.token))
    };
    let all = [held(1).await?, held(2).await?, held(3).await?, held(4).await?, held(5).await?];
    bench.store.lose(&bench.key(2)).await?;
    bench.steal(3, 2).await?;
    bench.store.corrupt(&bench.key(4)).await?;
    bench.complete(all[4].clone(), End::Done).await?;
    let batch = all.map(|held| bench.completion(held, End::Done));
    let expected = [
        Completed::Recorded,
        Completed::Lost,
        Completed::Stolen,
        Completed::Foreign,
        // By an earlier try of the same completion.
        Completed::Recorded,
    ];
    same(bench.store.complete(&batch).await?, expected.to_vec())?;
    let requests: Vec<_> =
        (1..=6).map(|key| ClaimRequest { fingerprint: Some(8), ..bench.request(key, 3) }).collect();
    let answers = bench.store.claim(&requests).await?;
    // The fingerprint was kept wherever there was one.
    let mismatch = Claim::Mismatch { hop: 0 };
    let expected = [mismatch, Claim::Done, mismatch, Claim::Foreign, mismatch];
    same(&answers[..5], &expected)?;
    won(answers[5]).map(drop)
}

async fn every_request_has_a_lease_of_its_own(bench: &Bench<'_>) -> Verdict {
    let long = ClaimRequest { lease: HOUR * 3, ..bench.request(2, 1) };
    bench.store.claim(&[bench.request(1, 1), long, bench.request(3, 1)]).await?;
    for (key, hours) in [(1, 1), (2, 3), (3, 1)] {
        match bench.claim(key, 2).await? {
            Claim::Busy { left } if left <= HOUR * hours && left > HOUR * (hours - 1) => {}
            other => return Err(Wrong(format!("key {key}: expected Busy for {hours} h, got {other:?}"))),
        }
    }
    Ok(())
}

async fn an_empty_batch_has_no_answers(bench: &Bench<'_>) -> Verdict {
    same(bench.store.claim(&[]).await?.len(), 0)?;
    same(bench.store.renew(&[]).await?.len(), 0)?;
    same(bench.store.complete(&[]).await?.len(), 0)?;
    same(bench.store.release(&[]).await?.len(), 0)
}

async fn a_large_batch_is_answered_completely(bench: &Bench<'_>) -> Verdict {
    let requests: Vec<_> = (0..1_001).map(|key| bench.request(key, key)).collect();
    let answers = bench.store.claim(&requests).await?;
    same(answers.len(), requests.len())?;
    let mut completions = Vec::new();
    for (key, answer) in answers.into_iter().enumerate() {
        completions.push(bench.completion(bench.held(key, key, won(answer)?.token), End::Done));
    }
    same(bench.store.complete(&completions).await?, vec![Completed::Recorded; 1_001])
}

async fn every_write_has_the_retention_of_its_request(bench: &Bench<'_>) -> Verdict {
    // The keys 1 to 6 are last written by a claim, a repeat, a take-over, a renewal, a release and a completion.
    for key in 1..=6 {
        let mut claim = bench.request(key, 1);
        if key == 1 {
            claim.retention = BRIEF;
        }
        let token = won(only(bench.store.claim(&[claim]).await?)?)?.token;
        let held = bench.held(key, 1, token);
        match key {
            2 | 3 => {
                let again = ClaimRequest { retention: BRIEF, ..bench.request(key, key - 1) };
                bench.store.expire_lease(&bench.key(key)).await?;
                bench.store.claim(&[again]).await.map(drop)?;
            }
            4 => bench.store.renew(&[Renewal { retention: BRIEF, ..bench.renewal(held) }]).await.map(drop)?,
            5 => bench
                .store
                .release(&[Release { retention: BRIEF, ..bench.release_of(held, HOUR) }])
                .await
                .map(drop)?,
            6 => {
                let completion = Completion { retention: BRIEF, ..bench.completion(held, End::Done) };
                bench.store.complete(&[completion]).await.map(drop)?;
            }
            _ => {}
        }
        let again = forgotten(bench, key).await?;
        holds(again > token, format!("key {key}: the token did not grow across a forgotten record"))?;
    }
    Ok(())
}

/// Waits until the store no longer knows a key; the token of the new claim.
async fn forgotten(bench: &Bench<'_>, key: usize) -> Result<u64, Wrong> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        // Asking for a claim would have it remembered for longer.
        if only(bench.store.inspect(&[bench.key(key)]).await?)? == Inspected::Unknown {
            return Ok(won(bench.claim(key, 9).await?)?.token);
        }
        tokio::time::sleep(BRIEF).await;
    }
    Err(Wrong(format!("key {key}: a record with a retention of {BRIEF:?} is still there after 10 s")))
}
