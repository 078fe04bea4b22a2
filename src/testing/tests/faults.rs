use std::time::Duration;

use super::*;
use crate::testing::{Fault, Harness, How, Moment};

/// Delivers one payment while something goes wrong: how it was settled, and how often it was charged.
async fn charged(moment: Moment, fault: Fault) -> (Vec<How>, usize) {
    let bank = Bank::default();
    let mut harness = Harness::new(Charge { bank: bank.clone() });
    harness.at(moment, fault).deliver(PAYMENT).await;
    assert!(!harness.is_waiting_for_faults(), "{moment} was never reached");
    assert!(harness.letters().is_empty());
    assert_eq!(harness.committed("events", 0), 1);
    (harness.outcomes(), bank.charges())
}

#[tokio::test]
async fn a_crash_doubles_what_it_may_and_nothing_else() {
    use Moment::*;
    let done = || vec![How::Done];
    for (moment, outcomes, charges) in [
        (BeforeClaim, done(), 1),
        (AfterClaim, done(), 1),
        (BeforeHandler, done(), 1),
        (InHandler(1), done(), 1),
        (InHandler(2), done(), 2),
        (AfterEffect, done(), 2),
        (BeforeCompletion, done(), 2),
        (AfterCompletion, vec![How::Duplicate], 1),
        (BeforeCommit, vec![How::Done, How::Duplicate], 1),
    ] {
        assert_eq!(charged(moment, Fault::Crash).await, (outcomes, charges), "{moment:?}");
    }
}

#[tokio::test]
async fn a_process_that_stands_still_goes_on_where_it_stood() {
    use Moment::*;
    let both = || vec![How::Done, How::Done];
    for (moment, outcomes, charges) in [
        (BeforeHandler, both(), 2),
        (InHandler(1), both(), 2),
        (InHandler(2), both(), 2),
        (AfterEffect, both(), 2),
        (BeforeCommit, vec![How::Done, How::Duplicate], 1),
    ] {
        assert_eq!(charged(moment, Fault::Stall).await, (outcomes, charges), "{moment:?}");
    }
}

#[tokio::test]
async fn a_handler_that_is_cut_off_runs_again() {
    assert_eq!(charged(Moment::InHandler(1), Fault::TimeOut).await.1, 1);
    assert_eq!(charged(Moment::InHandler(2), Fault::TimeOut).await.1, 2);
    assert_eq!(charged(Moment::AfterEffect, Fault::TimeOut).await.1, 2);
}

#[tokio::test]
async fn outages_double_nothing() {
    let away = Fault::StoreDown(Duration::from_secs(60));
    for moment in [Moment::BeforeClaim, Moment::BeforeHandler, Moment::AfterEffect] {
        assert_eq!(charged(moment, away).await, (vec![How::Done], 1), "{moment:?}");
    }
    assert_eq!(charged(Moment::AfterEffect, Fault::StoreLost).await, (vec![How::Done], 1));
}

#[tokio::test]
async fn a_loss_of_the_store_and_a_crash_double_together() {
    let bank = Bank::default();
    let mut harness = Harness::new(Charge { bank: bank.clone() });
    harness.at(Moment::BeforeCommit, Fault::StoreLost).deliver(PAYMENT).await;
    assert_eq!(bank.charges(), 1, "a loss alone");
    harness.at(Moment::BeforeCommit, Fault::StoreLost).at(Moment::BeforeCommit, Fault::Crash);
    harness.deliver(r#"{"payment_id":"p2","cents":100}"#).await;
    assert_eq!(bank.charges(), 3);
}
