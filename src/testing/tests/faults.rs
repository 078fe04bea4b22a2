use std::time::Duration;

use tokio::time::Instant;

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
        let began = Instant::now();
        assert_eq!(charged(moment, away).await, (vec![How::Done], 1), "{moment:?}");
        assert!(began.elapsed() >= Duration::from_secs(60), "{moment:?}: {:?}", began.elapsed());
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

/// Publishes a receipt, or refuses.
struct Publishes;

impl Handler for Publishes {
    const NAME: &'static str = "charge";
    type Event = i64;

    fn dedupe_key(&self, cents: &i64, _: &Metadata) -> DedupeKey {
        DedupeKey::of(cents)
    }

    async fn handle(&self, cents: &i64, ctx: &Context) -> Outcome {
        if *cents < 0 {
            return Err(Failure::reject("a negative amount"));
        }
        ctx.publish("receipts", "u1", cents)?;
        done()
    }
}

fn publishes() -> Harness {
    let routes = Routes::new().on("payments.requested", Publishes);
    Harness::new(Service::new("payments").routes(routes).publishes("receipts"))
}

#[tokio::test]
async fn what_is_published_twice_has_one_id() {
    let mut harness = publishes();
    harness.at(Moment::AfterPublish, Fault::Crash).deliver("100").await;
    let ids: Vec<_> = harness.published().into_iter().map(|event| event.id).collect();
    assert_eq!(ids, ["charge:100:0", "charge:100:0"]);
    assert_eq!(harness.published()[0].json::<i64>(), 100);

    let mut next = Harness::new(Service::new("ledger").routes(Routes::new().on("receipts", Book)));
    next.deliver_all(harness.published()).await;
    assert_eq!(next.outcomes(), [How::Done, How::Duplicate]);
}

/// Takes events of one id for one.
struct Book;

impl Handler for Book {
    const NAME: &'static str = "book";
    type Event = i64;

    fn dedupe_key(&self, _: &i64, meta: &Metadata) -> DedupeKey {
        DedupeKey::of(String::from_utf8_lossy(meta.header("ce_id").unwrap_or_default()))
    }

    async fn handle(&self, _: &i64, _: &Context) -> Outcome {
        done()
    }
}

#[tokio::test]
async fn nothing_is_settled_before_the_broker_is_back() {
    for (moment, event) in [(Moment::BeforePublish, "100"), (Moment::BeforeDeadLetter, "-1")] {
        let began = Instant::now();
        let mut harness = publishes();
        harness.at(moment, Fault::BrokerDown(Duration::from_secs(60))).deliver(event).await;
        assert!(began.elapsed() >= Duration::from_secs(60), "{moment:?}: {:?}", began.elapsed());
        assert_eq!((harness.attempts(), harness.published().len() + harness.letters().len()), (1, 1));
    }
}

#[tokio::test]
async fn a_letter_that_nobody_heard_of_is_written_again() {
    let mut harness = publishes();
    harness.at(Moment::AfterDeadLetter, Fault::Crash).deliver("-1").await;
    assert_eq!((harness.letters().len(), harness.outcomes()), (2, vec![How::DeadLettered]));
}

/// Holds what there is only one of, while it waits.
struct Holds(Arc<tokio::sync::Mutex<usize>>);

impl Handler for Holds {
    const NAME: &'static str = "holds";
    type Event = i64;

    fn dedupe_key(&self, cents: &i64, _: &Metadata) -> DedupeKey {
        DedupeKey::of(cents)
    }

    async fn handle(&self, _: &i64, _: &Context) -> Outcome {
        let mut runs = self.0.lock().await;
        tokio::task::yield_now().await;
        *runs += 1;
        done()
    }
}

#[tokio::test]
async fn the_dead_let_go_of_what_they_held_and_the_frozen_are_waited_for() {
    for (fault, runs, processes) in [(Fault::Crash, 1, 1), (Fault::Stall, 2, 2), (Fault::TimeOut, 1, 1)] {
        let counter = Arc::<tokio::sync::Mutex<usize>>::default();
        let mut harness = Harness::new(Holds(Arc::clone(&counter)));
        harness.at(Moment::InHandler(1), fault).deliver("1").await;
        assert_eq!(harness.outcomes(), vec![How::Done; processes], "{fault:?}");
        assert_eq!((*counter.lock().await, harness.attempts()), (runs, 2), "{fault:?}");
    }
}

#[tokio::test]
async fn the_usual_faults_have_names_of_their_own() {
    async fn charges(go_wrong: impl Fn(&mut Harness)) -> (usize, usize) {
        let bank = Bank::default();
        let mut harness = Harness::new(Charge { bank: bank.clone() });
        go_wrong(&mut harness);
        harness.deliver(PAYMENT).await;
        assert!(!harness.is_waiting_for_faults());
        (bank.charges(), harness.attempts())
    }
    assert_eq!(charges(|harness| _ = harness.crash_at(Moment::BeforeHandler)).await, (1, 1));
    assert_eq!(charges(|harness| _ = harness.crash_at(Moment::AfterEffect)).await, (2, 2));
    assert_eq!(charges(|harness| _ = harness.lose_lease()).await, (2, 2));
    assert_eq!(charges(|harness| _ = harness.store_down(Duration::from_secs(3600))).await, (1, 1));
}

/// Is asked for long whether it has taken effect, and notes when it runs.
struct Slow(Arc<Mutex<Vec<(&'static str, Instant)>>>);

impl Handler for Slow {
    const NAME: &'static str = "slow";
    type Event = i64;

    fn dedupe_key(&self, cents: &i64, _: &Metadata) -> DedupeKey {
        DedupeKey::of(cents)
    }

    async fn was_applied(&self, _: &i64, _: &Context) -> Result<bool, Failure> {
        self.0.lock().unwrap().push(("asked", Instant::now()));
        tokio::time::sleep(Duration::from_secs(20)).await;
        Ok(false)
    }

    async fn handle(&self, _: &i64, _: &Context) -> Outcome {
        self.0.lock().unwrap().push(("ran", Instant::now()));
        done()
    }
}

#[tokio::test(start_paused = true)]
async fn no_handler_begins_while_its_claim_may_be_lost() {
    let notes = Arc::<Mutex<Vec<_>>>::default();
    let mut harness = Harness::new(Slow(Arc::clone(&notes)));
    let away = Duration::from_secs(60);
    // The store goes away when the event is claimed, and again when it is taken over.
    harness.at(Moment::AfterClaim, Fault::Crash);
    harness.at(Moment::AfterClaim, Fault::StoreDown(away)).at(Moment::AfterClaim, Fault::StoreDown(away));
    harness.deliver("1").await;
    let notes = notes.lock().unwrap();
    let [("asked", first), ("asked", _), ("ran", ran)] = notes[..] else { panic!("{notes:?}") };
    assert!(ran - first >= away, "it ran {:?} after the take-over", ran - first);
}
