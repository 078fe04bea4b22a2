//! Cases about batches and about forgetting.

use std::time::Duration;

use tokio::time::Instant;

use super::bench::{Bench, HOUR, Wrong, holds, only, same, won};
use super::{TestStore, Verdict, Violation, run_each};
use crate::store::{Claim, ClaimRequest, Completed, Completion, End, Inspected, Release, Renewal};

/// A retention that is over before anybody has waited for it.
const BRIEF: Duration = Duration::from_millis(1);

pub(super) async fn run(store: &dyn TestStore) -> Result<(), Violation> {
    run_each!(
        store,
        a_batch_is_answered_in_order_and_sees_itself,
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
