use std::time::{Duration, Instant};

use super::*;
use crate::testing::{Disposition, Harness, How, TestRecord};

#[tokio::test]
async fn two_deliveries_at_the_same_moment_take_effect_once() {
    let bank = Bank::default();
    let mut harness = Harness::new(Charge { bank: bank.clone() });
    harness.deliver_twice(PAYMENT).await;
    assert_eq!(harness.outcomes(), [How::Done, How::Duplicate]);
    assert_eq!((bank.charges(), harness.attempts()), (1, 1));
    assert_eq!((harness.committed("events", 0), harness.committed("events", 1)), (1, 1));
    harness.deliver(PAYMENT).await;
    assert_eq!((harness.outcomes().len(), bank.charges(), harness.committed("events", 0)), (3, 1, 2));
}

/// Fails as often as it is told to.
struct Fails(Mutex<u32>, fn() -> Outcome);

impl Handler for Fails {
    const NAME: &'static str = "fails";
    type Event = u32;

    fn dedupe_key(&self, event: &u32, _: &Metadata) -> DedupeKey {
        DedupeKey::of(event)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        let mut left = self.0.lock().unwrap();
        match left.checked_sub(1) {
            None => done(),
            Some(less) => {
                *left = less;
                (self.1)()
            }
        }
    }
}

#[tokio::test]
async fn retries_of_minutes_are_seen_through_at_once() {
    let began = Instant::now();
    let busy = || Err(Failure::retry_after(Duration::from_secs(60), "busy"));
    let mut harness = Harness::new(Fails(Mutex::new(4), busy));
    harness.deliver("7").await;
    assert_eq!((harness.outcomes(), harness.attempts()), (vec![How::Done], 5));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
async fn attempts_and_their_budget_end_in_a_letter() {
    let mut harness = Harness::new(Fails(Mutex::new(99), || Err(Failure::retry("busy"))))
        .configure(|settings| settings.retry.max_attempts = Some(3));
    harness.deliver(TestRecord::from("7").header("tenant", "eu")).await;
    let [letter] = &harness.letters()[..] else { panic!("{:?}", harness.letters()) };
    assert_eq!((letter.disposition, letter.attempts), (Disposition::Exhausted, 3));
    assert_eq!(letter.error, "busy");
    assert_eq!(&*letter.record.topic, "events.test.dlt");
    assert_eq!(letter.record.header("tenant"), Some(&b"eu"[..]));

    let after = || Err(Failure::retry_after(Duration::from_secs(40), "busy"));
    let mut harness = Harness::new(Fails(Mutex::new(99), after)).configure(|settings| {
        settings.retry.max_attempts = Some(100);
        settings.retry.budget = Some(Duration::from_secs(100));
    });
    harness.deliver("7").await;
    assert_eq!(harness.letters()[0].attempts, 3, "after 0, 40 and 80 seconds");
}

#[tokio::test]
async fn what_is_no_event_is_a_letter_without_an_attempt() {
    let mut harness = Harness::new(Charge::default());
    harness.deliver_all([TestRecord::from("{"), TestRecord::tombstone()]).await;
    assert_eq!(harness.letters()[0].disposition, Disposition::Undecodable);
    assert_eq!(harness.attempts(), 0);
}

#[tokio::test]
async fn the_store_forgets_after_its_time() {
    let bank = Bank::default();
    let mut harness = Harness::new(Charge { bank: bank.clone() });
    harness.deliver(PAYMENT).await;
    harness.pass(Duration::from_secs(9 * 86_400)).await;
    harness.deliver(PAYMENT).await;
    assert_eq!(bank.charges(), 2);
}

/// Waits for the clock, or for the world.
struct Waits(Duration, bool);

impl Handler for Waits {
    const NAME: &'static str = "waits";
    type Event = u32;

    fn dedupe_key(&self, event: &u32, _: &Metadata) -> DedupeKey {
        DedupeKey::of(event)
    }

    async fn handle(&self, _: &u32, _: &Context) -> Outcome {
        let Self(time, outside) = *self;
        if !outside {
            tokio::time::sleep(time).await;
            return done();
        }
        // As a database's client does it: an answer from elsewhere, and a limit by tokio's clock.
        let (answer, waiting) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            std::thread::sleep(time);
            answer.send(()).unwrap_or_default();
        });
        match tokio::time::timeout(Duration::from_secs(30), waiting).await {
            Ok(_) => done(),
            Err(_) => Err(Failure::reject("the answer never came")),
        }
    }
}

#[tokio::test]
async fn time_stands_by_a_handler_that_waits_for_the_outside() {
    let mut harness = Harness::new(Waits(Duration::from_millis(30), true));
    harness.deliver("1").await;
    assert_eq!(harness.outcomes(), [How::Done], "{:?}", harness.letters());
}

#[tokio::test(start_paused = true)]
async fn in_a_test_that_begins_paused_handlers_sleep_through_at_once() {
    let began = Instant::now();
    let mut harness = Harness::new(Waits(Duration::from_secs(200), false));
    harness.deliver_all(["1", "2"]).await;
    assert_eq!(harness.outcomes(), [How::Done, How::Done]);
    let mut harness = Harness::new(Waits(Duration::from_secs(600), false));
    harness.deliver("1").await;
    assert_eq!(harness.letters()[0].error, "the handler took longer than 5m");
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test]
#[should_panic(expected = "the service reads [\"events\"]")]
async fn a_topic_that_nobody_reads_is_named() {
    Harness::new(Charge::default()).deliver(TestRecord::from(PAYMENT).topic("elsewhere")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[should_panic(expected = "a harness needs a runtime of one thread")]
async fn a_runtime_whose_clock_cannot_be_paused_is_refused() {
    Harness::new(Charge::default()).deliver(PAYMENT).await;
}
