use futures_util::{FutureExt, future::join_all};

use super::*;
use crate::telemetry::{Health, Metrics};

fn gate(rate: Option<u32>) -> (Arc<Gate>, Health) {
    let (metrics, health) = (Metrics::new().breaker("shop", "charge"), Health::default());
    let service = health.service("shop");
    service.joined(true);
    (Gate::new("charge", BreakerSettings::default(), rate, metrics, service), health)
}

/// Attempts that fail until the breaker opens.
fn open(gate: &Arc<Gate>) {
    for event in 0..10 {
        let pass = gate.try_pass().unwrap();
        gate.failed(pass, event);
    }
    assert_eq!(gate.view().breaker, Some("open"));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_goes_one_by_one_and_all_at_once_when_it_is_over() {
    let (gate, health) = gate(None);
    let held = gate.try_pass().unwrap();
    open(&gate);
    assert!(!gate.holds(&held) && gate.try_pass().is_none() && gate.excuses());
    assert!(health.snapshot().readyz().to_string().starts_with("ok\nshop: breaker of charge: it is open"));

    let began = Instant::now();
    // What is dropped in the line leaves it.
    assert!(gate.pass().now_or_never().is_none());
    let attempts = (0..100).map(|number| {
        let gate = Arc::clone(&gate);
        async move {
            let pass = gate.pass().await;
            assert!(gate.holds(&pass));
            if number < 2 {
                gate.failed(pass, number);
            } else if number > 2 {
                gate.answered(pass, None, Instant::now());
            }
        }
    });
    join_all(attempts).await;
    assert_eq!(
        began.elapsed(),
        Duration::from_secs(1 + 2 + 4),
        "the third was given back, and left its turn"
    );
    assert_eq!(gate.view().breaker, Some("closed"));
    assert!(gate.is_open() && gate.holds(&held));
    assert_eq!(health.snapshot().readyz().to_string(), "ok\n");
}

#[tokio::test(start_paused = true)]
async fn what_began_before_it_opened_and_is_answered_after_it_had_failed_opens_the_way() {
    let (gate, _) = gate(None);
    let [first, again] = [gate.try_pass().unwrap(), gate.try_pass().unwrap()];
    open(&gate);
    gate.answered(first, None, Instant::now());
    assert_eq!(
        gate.view().breaker,
        Some("open"),
        "the first attempt of its event may be from before the outage"
    );
    gate.answered(again, Some(9), Instant::now());
    assert!(gate.view().breaker == Some("half-open") && !gate.excuses());
}

#[tokio::test(start_paused = true)]
async fn what_a_person_has_paused_waits_for_a_person() {
    let (gate, _) = gate(None);
    let held = gate.try_pass().unwrap();
    gate.pause(true);
    assert!(gate.view().is_paused && !gate.holds(&held) && gate.try_pass().is_none());
    let mut waiting = std::pin::pin!(gate.pass());
    assert!(tokio::time::timeout(Duration::from_secs(3600), &mut waiting).await.is_err());
    gate.pause(false);
    gate.answered(waiting.await, None, Instant::now());
    assert!(gate.holds(&held) && gate.is_open());
}

#[tokio::test(start_paused = true)]
async fn no_more_pass_than_may_in_a_second_and_what_was_not_used_counts_for_nothing() {
    let (gate, _) = gate(Some(50));
    assert!(!gate.is_open());
    let began = Instant::now();
    for number in 0..200 {
        let pass = gate.pass().await;
        if number < 100 {
            drop(pass);
        } else {
            gate.answered(pass, None, Instant::now());
        }
    }
    let took = began.elapsed();
    assert!((Duration::from_millis(1_800)..Duration::from_millis(2_100)).contains(&took), "{took:?}");
}

/// A gateway that says soon what it cannot do, in no order, and takes its time for the rest: one of three attempts fails.
async fn fails_fast_or_answers_slowly(gate: Arc<Gate>, worker: u128) {
    for round in 0..40 {
        let mut pass = gate.pass().await;
        pass.is_under_way(&gate);
        let event = worker * 100 + round;
        if event.is_multiple_of(3) {
            tokio::time::sleep(Duration::from_millis(5 + event as u64 * 7_919 % 40)).await;
            gate.failed(pass, event);
        } else {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            gate.answered(pass, None, Instant::now());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_sooner_than_others_are_answered_is_no_outage() {
    let (gate, _) = gate(None);
    let began = Instant::now();
    let workers = (0..64).map(|worker| fails_fast_or_answers_slowly(Arc::clone(&gate), worker));
    join_all(workers).await;
    assert!(began.elapsed() < Duration::from_secs(45), "nobody waits: {:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_third_that_fails_does_not_keep_the_work_from_beginning_again() {
    let (gate, _) = gate(None);
    open(&gate);
    let began = Instant::now();
    let workers = (0..64).map(|worker| fails_fast_or_answers_slowly(Arc::clone(&gate), worker));
    join_all(workers).await;
    assert_eq!(gate.view().breaker, Some("closed"));
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
