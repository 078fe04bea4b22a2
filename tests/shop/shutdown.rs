//! A worker that is told to stop while it has much to do.

use std::time::Duration;

use handlers::sample::{Expected, SampleOrders};

use crate::{
    ledger::Ledger,
    setup::{SERVICES, Shop},
    support::wait::until,
};

/// As the pods of [`Shop`] have it.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finished_before_a_polite_end_is_not_repeated_by_the_next_start() {
    let shop = Shop::new(4).await;
    let orders = SampleOrders { count: 3000, unaffordable: 0.05, ..SampleOrders::default() };
    let sent = shop.produce(&orders).await;
    let mut first = shop.start();
    until("the first pod to be at work", Duration::from_secs(60), async || {
        let settled = match crate::metrics::Counts::of(first.http).await {
            Ok(counts) => SERVICES.map(|service| counts.sum("records_total", service, &[])),
            Err(_) => [0; 3],
        };
        if settled.iter().all(|settled| *settled >= 200) { Ok(()) } else { Err(settled) }
    })
    .await;
    first.worker.terminate();
    let status = first.worker.wait(3 * DRAIN_TIMEOUT).await;
    assert_eq!(status.code(), Some(0), "{}", first.worker.output());

    // Nobody runs now: this is what has finished.
    let ledger = shop.ledger().await;
    let mut confirmed: Vec<_> = ledger.confirmations.iter().map(|(event, _)| event).collect();
    confirmed.dedup();
    let rejected = shop.letters("payments", &sent).await.iter().filter(|(_, why)| why == "rejected").count();
    let applied = [ledger.orders.len(), ledger.payments.len(), confirmed.len()];
    let Expected { orders: events, unaffordable, .. } = orders.expected();
    assert!(applied.iter().all(|applied| (1..events as usize).contains(applied)), "under load: {applied:?}");

    let second = shop.start();
    shop.finishes(sent.len(), Duration::from_secs(120)).await;
    let counts = second.counts().await;
    let ran = |service, outcome| counts.sum("attempts_total", service, &[("outcome", outcome)]);
    let settled = events - unaffordable;
    let left = [events, settled, events + settled];
    let applied = [ledger.orders.len(), ledger.payments.len(), confirmed.len() + ledger.receipts.len()];
    for ((service, left), applied) in SERVICES.into_iter().zip(left).zip(applied) {
        assert_eq!(
            ran(service, "done"),
            left - applied as u64,
            "{service} runs what is left and nothing else"
        );
    }
    assert_eq!(ran("payments", "rejected"), unaffordable - rejected as u64);
    for service in SERVICES {
        let taken_over = counts.sum("dedupe_total", service, &[("outcome", "taken_over")]);
        assert_eq!(
            taken_over, 0,
            "{service}: what had finished was known, and what had not begun was given back"
        );
    }
    shop.ledger().await.must_be(&Ledger::expected(&sent, orders.opening_credit_cents));
}
