//! The shop under load: two workers, duplicates, poison and customers without money.

use std::time::Duration;

use handlers::sample::{Expected, SampleOrders};

use crate::{
    ledger::Ledger,
    setup::{SERVICES, Shop, balanced, expected_letters},
};

const PARTITIONS: i32 = 6;

/// How many are sent: `ONCEWISE_LOAD_RECORDS`, to see more.
fn records() -> u64 {
    let told = std::env::var("ONCEWISE_LOAD_RECORDS").ok().and_then(|text| text.parse().ok());
    told.unwrap_or(6_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_order_takes_effect_once_and_everything_adds_up() {
    // Nobody dies here, and what is delivered once more would be counted.
    let shop = Shop::new(PARTITIONS)
        .await
        .with("SHOP__GATEWAY_BUSY_PERCENT", "5")
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000")
        .with("DEDUPE__LEASE", "30s");
    let orders =
        SampleOrders { count: records(), poison: 0.02, unaffordable: 0.02, ..SampleOrders::default() };
    let pods = [shop.start(), shop.start()];
    balanced(&[&pods[0], &pods[1]], 6).await;
    let sent = shop.produce(&orders).await;
    shop.finishes(sent.len(), Duration::from_secs(300)).await;

    shop.ledger().await.must_be(&Ledger::expected(&sent, orders.opening_credit_cents));
    for service in SERVICES {
        assert!(
            shop.letters(service, &sent).await == expected_letters(&sent, service),
            "the dead letters of {service} are others"
        );
    }
    let counts = [pods[0].counts().await, pods[1].counts().await];
    let Expected { orders: events, unaffordable, duplicates, undecodable, no_key } = orders.expected();
    for service in SERVICES {
        let rejected = if service == "payments" { unaffordable } else { 0 };
        let receipts = if service == "notifications" { events - unaffordable } else { 0 };
        let sum =
            |name, labels: &[_]| counts.iter().map(|counts| counts.sum(name, service, labels)).sum::<u64>();
        let outcome = |outcome| sum("records_total", &[("outcome", outcome)]);
        let shares = counts.each_ref().map(|counts| counts.sum("consumed_total", service, &[]));
        assert!(shares.iter().all(|share| *share > 0), "both work: {shares:?}");
        assert_eq!(shares.iter().sum::<u64>(), orders.count + receipts, "{service}: delivered once");
        assert_eq!(outcome("done"), events - rejected + receipts, "{service}");
        assert_eq!(outcome("duplicate"), duplicates, "{service}");
        assert_eq!(outcome("dead_lettered"), rejected + undecodable + no_key, "{service}");
        assert_eq!((outcome("skipped"), outcome("deferred")), (0, 0), "{service}");
        let ran = |outcome| sum("attempts_total", &[("outcome", outcome)]);
        assert_eq!(
            (ran("done"), ran("rejected")),
            (events - rejected + receipts, rejected),
            "{service}: each event ran once"
        );
        assert_eq!(ran("retry") > 0, service == "payments", "{service}: only the gateway is ever busy");
        let letters = |disposition| sum("dead_letters_total", &[("disposition", disposition)]);
        assert_eq!(
            [letters("rejected"), letters("undecodable"), letters("no-key"), sum("dead_letters_total", &[])],
            [rejected, undecodable, no_key, rejected + undecodable + no_key],
            "{service}"
        );
        assert_eq!(sum("in_flight", &[]), 0, "{service}");
    }
    shop.has_no_lag().await;
}
