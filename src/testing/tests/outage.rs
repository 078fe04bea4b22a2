//! A gateway that goes away for a while, and what that costs the events that need it; rates and first delays.

use std::{ops::Range, time::Duration};

use tokio::time::Instant;

use super::*;
use crate::testing::{Disposition, Harness, How, Moment, TestRecord};

const MINUTE: Duration = Duration::from_secs(60);

/// A gateway that is away for a part of the time: at first it says so, then it does not answer at all.
#[derive(Debug, Clone)]
struct Gateway {
    began: Instant,
    away: Range<Duration>,
    /// When each attempt began, and of which payment.
    asked: Arc<Mutex<Vec<(Duration, String)>>>,
    rate: Option<u32>,
    delay: Option<Duration>,
}

impl Gateway {
    fn away(away: Range<Duration>) -> Self {
        Self { began: Instant::now(), away, asked: Arc::default(), rate: None, delay: None }
    }

    fn asked(&self) -> Vec<(Duration, String)> {
        self.asked.lock().unwrap().clone()
    }

    fn harness(&self) -> Harness {
        Harness::new(self.clone()).configure(|settings| {
            settings.worker.handler_timeout = Duration::from_secs(2);
        })
    }
}

impl Handler for Gateway {
    const NAME: &'static str = "gateway";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    fn rate_limit(&self) -> Option<u32> {
        self.rate
    }

    fn first_delay(&self) -> Option<Duration> {
        self.delay
    }

    async fn handle(&self, event: &Payment, _: &Context) -> Outcome {
        let now = self.began.elapsed();
        self.asked.lock().unwrap().push((now, event.payment_id.clone()));
        match event.cents {
            0 => return Err(Failure::retry("nobody can charge nothing")),
            -1 => return Err(Failure::reject("no negative amounts")),
            _ => {}
        }
        if !self.away.contains(&now) {
            return done();
        }
        if now - self.away.start > (self.away.end - self.away.start) / 2 {
            std::future::pending::<()>().await;
        }
        Err(Failure::retry("503"))
    }
}

fn payment(id: impl std::fmt::Display, cents: i64) -> TestRecord {
    let id = id.to_string();
    TestRecord::from(format!(r#"{{"payment_id":"{id}","cents":{cents}}}"#)).key(id)
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_five_minutes_writes_no_letter_and_burns_few_attempts() {
    let gateway = Gateway::away(Duration::ZERO..5 * MINUTE);
    let mut harness = gateway.harness();
    harness.deliver_all((0..200).map(|id| payment(id, 100))).await;
    assert_eq!(harness.letters().len(), 0);
    assert_eq!(harness.outcomes(), [How::Done; 200]);
    let took = gateway.began.elapsed();
    assert!(took < 5 * MINUTE + Duration::from_secs(15), "{took:?}");
    // Each once, for they all began at once; then a probe every five seconds or so, of one event after the other.
    let asked = gateway.asked();
    assert!((240..275).contains(&(asked.len() - 200)), "{}", asked.len());
    let most = (0..200).map(|id| asked.iter().filter(|(_, of)| *of == id.to_string()).count()).max();
    assert!(most <= Some(4), "{most:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_breaker_the_same_outage_is_all_letters() {
    let gateway = Gateway::away(Duration::ZERO..5 * MINUTE);
    let mut harness = gateway.harness().configure(|settings| settings.breaker.enabled = false);
    harness.deliver_all((0..200).map(|id| payment(id, 100))).await;
    assert!(harness.letters().len() > 150, "{}", harness.letters().len());
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_the_midst_of_the_traffic_writes_no_letter_and_refusals_go_on() {
    let gateway = Gateway::away(MINUTE..2 * MINUTE);
    let mut harness = gateway.harness();
    for second in 0..150 {
        harness.deliver_all((0..3).map(|id| payment(second * 10 + id, 100))).await;
        harness.pass(Duration::from_millis(500)).await;
    }
    harness.deliver(payment("refused", -1)).await;
    let letters = harness.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0].disposition, Disposition::Rejected);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_handled_is_a_letter_although_an_outage_came_in_between() {
    let gateway = Gateway::away(Duration::ZERO..MINUTE);
    let mut harness = gateway.harness();
    let events = (0..50).map(|id| payment(id, if id == 7 { 0 } else { 100 }));
    harness.deliver_all(events).await;
    let letters = harness.letters();
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((letters[0].disposition, letters[0].attempts), (Disposition::Exhausted, 5));
}

#[tokio::test(start_paused = true)]
async fn what_only_gets_what_cannot_be_handled_does_not_wait_for_ever() {
    let gateway = Gateway::away(Duration::ZERO..Duration::ZERO);
    let mut harness = gateway.harness();
    harness.deliver_all((0..5).map(|id| payment(id, 0))).await;
    assert_eq!(harness.letters().len(), 5);
    let took = gateway.began.elapsed();
    assert!(took > 60 * MINUTE && took < 75 * MINUTE, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn the_only_event_of_an_hour_outlasts_an_outage_where_it_may() {
    let gateway = Gateway::away(60 * MINUTE..65 * MINUTE);
    let mut harness = gateway.harness().configure(|settings| settings.retry.at_least = Some(10 * MINUTE));
    harness.deliver(payment("before", 100)).await;
    harness.pass(60 * MINUTE).await;
    // A death in its midst, too.
    harness.crash_at(Moment::InHandler(1)).deliver(payment("alone", 100)).await;
    assert_eq!(harness.outcomes(), [How::Done; 2]);
    assert_eq!(harness.letters().len(), 0);
    let took = gateway.began.elapsed() - 60 * MINUTE;
    let longest = 5 * MINUTE + Duration::from_secs(32);
    assert!(took < longest, "{took:?}");
    let asked = gateway.asked().len();
    assert!((10..60).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn an_event_that_nobody_can_handle_is_a_letter_when_its_time_is_over_and_at_once_where_others_are_answered()
 {
    let patient = |gateway: &Gateway| {
        gateway.harness().configure(|settings| settings.retry.at_least = Some(10 * MINUTE))
    };
    let gateway = Gateway::away(Duration::ZERO..Duration::ZERO);
    let mut harness = patient(&gateway);
    harness.deliver(payment("alone", 0)).await;
    let alone = harness.letters();
    assert_eq!((alone.len(), alone[0].disposition), (1, Disposition::Exhausted));
    assert!(alone[0].attempts > 15, "{alone:?}");
    let took = gateway.began.elapsed();
    assert!((10 * MINUTE..10 * MINUTE + Duration::from_secs(1)).contains(&took), "{took:?}");

    let gateway = Gateway { rate: Some(2), ..Gateway::away(Duration::ZERO..Duration::ZERO) };
    let mut harness = patient(&gateway);
    let others = (0..60).map(|id| payment(id, 100));
    harness.deliver_all(std::iter::once(payment("poison", 0)).chain(others)).await;
    let letters = harness.letters();
    assert_eq!((letters.len(), letters[0].attempts), (1, 5), "{letters:?}");
    assert!(gateway.began.elapsed() < 2 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn no_more_attempts_begin_in_a_second_than_may() {
    let gateway = Gateway { rate: Some(20), ..Gateway::away(Duration::ZERO..Duration::ZERO) };
    let mut harness = gateway.harness();
    harness.deliver_all((0..200).map(|id| payment(id, 100))).await;
    let took = gateway.began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&took), "{took:?}");
    assert_eq!(harness.attempts(), 200);
    // Duplicates make no attempts, and wait for none.
    harness.deliver_all((0..200).map(|id| payment(id, 100))).await;
    assert!(gateway.began.elapsed() - took < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_configuration_has_the_last_word_about_rates_and_delays() {
    let delay = Some(Duration::from_secs(30));
    let gateway = Gateway { rate: Some(1), delay, ..Gateway::away(Duration::ZERO..Duration::ZERO) };
    let mut harness = gateway.harness().configure(|settings| {
        settings.worker.rate_limit = Some(0);
        settings.worker.first_delay = Some(Duration::ZERO);
    });
    harness.deliver_all((0..50).map(|id| payment(id, 100))).await;
    assert!(gateway.began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_first_attempt_waits_until_its_record_is_old_enough_and_its_lane_behind_it() {
    let delay = Some(Duration::from_secs(30));
    let gateway = Gateway { delay, ..Gateway::away(Duration::ZERO..Duration::ZERO) };
    let mut harness = gateway.harness();
    let lane = |id: &str| payment(id, 100).key("lane");
    harness.deliver_all([lane("a1"), lane("a2").timestamp(0), payment("old", 100).timestamp(0)]).await;
    let asked = gateway.asked();
    let seconds: Vec<_> = asked.iter().map(|(at, id)| (at.as_secs(), id.as_str())).collect();
    assert_eq!(seconds, [(0, "old"), (30, "a1"), (30, "a2")]);
    assert_eq!(harness.attempts(), 3);
}
