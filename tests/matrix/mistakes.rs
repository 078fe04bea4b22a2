//! Workers that make a classical mistake, under the fault that shows it: the checker finds it, by the right invariant,
//! and finds nothing where the true worker meets the same fault.

use crate::{
    case::{Case, PATIENCE, events, now},
    checker::{Report, inputs::Inflicted},
    support::wait::until,
};

fn mistaken(case: &mut Case, mistake: Option<&str>) {
    if let Some(mistake) = mistake {
        case.pods = case.pods.clone().variable("ONCEWISE_BREAK", mistake);
    }
}

/// A pod dies between its claim and its effect.
async fn a_death_before_the_effect(mistake: Option<&str>) -> Report {
    let mut case = Case::new(1).await;
    mistaken(&mut case, mistake);
    case.send(events("event", 0..5, 5, "")).await;
    let at = now();
    let mut dying = case.start_with("ONCEWISE_CRASH", "after_claim");
    assert_eq!(dying.wait(PATIENCE).await.code(), None);
    case.inflicted(Inflicted::Crash, at, Some(dying.pid()));
    let _heir = case.start();
    case.judged().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_is_marked_before_it_is_done_is_lost_and_the_checker_says_so() {
    let report = a_death_before_the_effect(Some("mark_before_work")).await;
    assert!(report.violated().contains(&"I1") && report.violated().contains(&"L1"), "{report}");
    let report = a_death_before_the_effect(None).await;
    assert_eq!((report.violated(), report.unknown()), (vec![], vec![]), "{report}");
}

/// A pod dies over one slow event, after those behind it are done and committed as far as they may be.
async fn a_death_over_a_slow_event(mistake: Option<&str>) -> Report {
    let mut case = Case::new(1).await;
    mistaken(&mut case, mistake);
    case.send(events("slow", 0..1, 1, r#","sleep_ms":15000"#)).await;
    case.send(events("event", 1..20, 20, "")).await;
    let mut dying = case.start();
    until("those behind it to take effect", PATIENCE, async || {
        let effects = case.pods.effects().all().len();
        if effects == 19 && case.pods.attempts().count("slow-0") == 1 { Ok(()) } else { Err(effects) }
    })
    .await;
    if mistake.is_some() {
        // As far as a worker goes that commits what it has seen.
        case.pods.until_committed(&case.topic, 0, 20).await;
    }
    case.kill(&mut dying);
    let _heir = case.start();
    case.judged().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offset_that_is_committed_past_unfinished_work_loses_it_and_the_checker_says_so() {
    let report = a_death_over_a_slow_event(Some("commit_highest_seen")).await;
    assert!(report.violated().contains(&"I1") && report.violated().contains(&"L1"), "{report}");
    let report = a_death_over_a_slow_event(None).await;
    assert_eq!((report.violated(), report.unknown()), (vec![], vec![]), "{report}");
}

/// A pod is frozen in its first attempt, which then fails while its heir is at work.
async fn a_failure_after_a_freeze(mistake: Option<&str>) -> Report {
    let mut case = Case::new(1).await;
    mistaken(&mut case, mistake);
    // The first attempt fails after two seconds; the heir's is the first as well, and fails, too, unless it is let.
    case.send([("victim".into(), "victim".into(), r#","sleep_ms":4000,"fail":1"#.into())]).await;
    let frozen = case.start();
    until("the first attempt", PATIENCE, async || match case.pods.attempts().count("victim") {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    let at = now();
    frozen.freeze();
    let _heir = case.start();
    until("its heir's second attempt", PATIENCE, async || match case.pods.attempts().count("victim") {
        3 => Ok(()),
        other => Err(other),
    })
    .await;
    frozen.thaw();
    case.inflicted(Inflicted::Lease, at, Some(frozen.pid()));
    case.judged().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_given_back_by_whoever_does_not_have_it_is_granted_twice_and_the_checker_says_so() {
    let report = a_failure_after_a_freeze(Some("unconditional_delete")).await;
    assert!(report.violated().contains(&"I5"), "{report}");
    let report = a_failure_after_a_freeze(None).await;
    assert_eq!((report.violated(), report.unknown()), (vec![], vec![]), "{report}");
}
