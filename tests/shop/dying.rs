//! The scene that this project began with: two workers, and one of them keeps dying.

use std::time::Duration;

use handlers::sample::SampleOrders;

use crate::{
    ledger::Ledger,
    metrics::Counts,
    setup::{Pod, SERVICES, Shop, balanced, expected_letters},
    support::wait::until,
};

/// How often the one is killed.
const KILLS: u64 = 4;
/// So many records each service of a pod must have settled to be called at work.
const SOME: u64 = 50;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_keeps_dying_does_not_stop_the_other() {
    // Longer than the session: the partitions move while the dead one's claims still stand.
    let shop = Shop::new(4).await.with("DEDUPE__LEASE", "6s");
    let steady = shop.start();
    let mut sent = Vec::new();
    for seed in 1..=KILLS {
        let mut dying = shop.start();
        balanced(&[&steady, &dying], 4).await;
        sent.extend(shop.produce(&SampleOrders { count: 1500, seed, ..SampleOrders::default() }).await);
        works_on(&dying, [0; 3]).await;
        dying.worker.kill_9();
        let at_its_death = sums(&steady.counts().await, "records_total");
        works_on(&steady, at_its_death).await;
    }
    shop.finishes(sent.len(), Duration::from_secs(180)).await;

    shop.ledger().await.must_be(&Ledger::expected(&sent, SampleOrders::default().opening_credit_cents));
    for service in SERVICES {
        // Killed between the broker's acknowledgement and the note about it, a pod leaves a letter that comes again.
        let mut letters = shop.letters(service, &sent).await;
        letters.dedup();
        assert!(letters == expected_letters(&sent, service), "the dead letters of {service} are others");
    }
    shop.has_no_lag().await;
}

/// Waits until every service of the pod has settled some more than `before` and has still something to do.
async fn works_on(pod: &Pod, before: [u64; 3]) {
    until("a pod to work on", Duration::from_secs(60), async || {
        let counts = pod.counts().await;
        let [now, left] = ["records_total", "in_flight"].map(|name| sums(&counts, name));
        let goes_on = now.iter().zip(before).all(|(now, before)| *now >= before + SOME);
        if goes_on && left.iter().all(|left| *left > 0) { Ok(()) } else { Err((now, left)) }
    })
    .await;
}

fn sums(counts: &Counts, name: &str) -> [u64; 3] {
    SERVICES.map(|service| counts.sum(name, service, &[]))
}
