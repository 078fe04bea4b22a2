//! One trace through the shop, from `worker produce` on.

use std::{collections::BTreeMap, time::Duration};

use handlers::sample::SampleOrders;

use crate::{
    setup::Shop,
    support::{
        collector::{Collector, Seen},
        wait::until,
    },
};

/// As OTLP numbers them.
const SEND: i32 = 4;
const PROCESS: i32 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_worker_produce_through_every_service_to_the_dead_letter() {
    let collector = Collector::start().await;
    let shop = Shop::new(1)
        .await
        .with("TELEMETRY__OTLP_ENDPOINT", &collector.endpoint())
        .with("SHOP__GATEWAY_BUSY_PERCENT", "100")
        .with("SERVICES__PAYMENTS__RETRY__MAX_ATTEMPTS", "3")
        .with("SERVICES__PAYMENTS__RETRY__INITIAL_DELAY", "50ms")
        // The only event there is would be waited for as in an outage.
        .with("SERVICES__PAYMENTS__RETRY__AT_LEAST", "off");
    let _pod = shop.start();
    shop.produce_by_worker(&SampleOrders {
        count: 1,
        duplicates: 0.0,
        poison: 0.0,
        ..SampleOrders::default()
    })
    .await;
    shop.finishes(1, Duration::from_secs(60)).await;

    let letter = |spans: &[Seen]| spans.iter().any(|span| span.kind == SEND && span.name.ends_with(".dlt"));
    let spans = until("the spans", Duration::from_secs(60), async || {
        let spans = collector.spans();
        let processes = spans.iter().filter(|span| span.kind == PROCESS).count();
        if processes == 3 && letter(&spans) { Ok(spans) } else { Err(spans) }
    })
    .await;
    let root: Vec<&Seen> = spans.iter().filter(|span| span.parent.is_empty()).collect();
    assert_eq!(root.len(), 1, "{root:?}");
    assert_eq!((root[0].service.as_str(), root[0].kind), ("produce", SEND));
    assert!(spans.iter().all(|span| span.trace == root[0].trace), "{spans:?}");
    let by_id: BTreeMap<&str, &Seen> = spans.iter().map(|span| (span.id.as_str(), span)).collect();
    assert!(spans.iter().all(|span| span.parent.is_empty() || by_id.contains_key(span.parent.as_str())));

    let outcomes: BTreeMap<&str, &str> = spans
        .iter()
        .filter(|span| span.kind == PROCESS && span.parent == root[0].id)
        .map(|span| (span.is("oncewise.service"), span.is("oncewise.outcome")))
        .collect();
    assert_eq!(
        outcomes,
        [("notifications", "done"), ("orders", "done"), ("payments", "dead_lettered")].into()
    );
    let attempts =
        spans.iter().filter(|span| span.name == "charge_wallet" && span.is("error.type") == "retry");
    assert_eq!(attempts.count(), 3, "{spans:?}");
}
