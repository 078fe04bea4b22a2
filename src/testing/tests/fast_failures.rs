//! A gateway that takes its time for what it does, and says soon what it cannot do now.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::*;
use crate::testing::{Harness, How, TestRecord};

/// At the first attempt at one of three payments it is busy; it says so before it has looked, or soon, in no order.
#[derive(Debug)]
struct Busy {
    looks: bool,
}

impl Handler for Busy {
    const NAME: &'static str = "busy";
    type Event = Payment;

    fn dedupe_key(&self, event: &Payment, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&event.payment_id)
    }

    async fn handle(&self, event: &Payment, ctx: &Context) -> Outcome {
        if event.cents % 3 == 0 && ctx.attempt() == 1 {
            if self.looks {
                sleep(Duration::from_millis(5 + event.cents.unsigned_abs() * 7_919 % 40)).await;
            }
            return Err(Failure::retry("503"));
        }
        sleep(Duration::from_millis(1_500)).await;
        done()
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_busy_for_a_third_is_not_away_and_nothing_waits_for_probes() {
    for looks in [false, true] {
        let began = Instant::now();
        let mut harness = Harness::new(Busy { looks });
        let payment = |cents: u32| {
            let id = cents.to_string();
            TestRecord::from(format!(r#"{{"payment_id":"{id}","cents":{cents}}}"#)).key(id)
        };
        harness.deliver_all((0..600).map(payment)).await;
        assert_eq!(harness.outcomes(), [How::Done; 600]);
        // Ten rounds of 64, and two attempts more than that for the last.
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "{took:?}, looks: {looks}");
    }
}
