//! The payment gateway goes away for a while: at first it says so, then it does not answer at all.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use handlers::sample::SampleOrders;

use crate::{
    ledger::Ledger,
    setup::{Pod, Sent, Shop, expected_letters},
    support::{
        gateway::{Gateway, Reply},
        http,
        kafka::committed,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// How long it is away: `ONCEWISE_OUTAGE_SECONDS`, to see longer ones.
fn outage() -> Duration {
    let told = std::env::var("ONCEWISE_OUTAGE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(told.unwrap_or(16))
}

/// What the gateway does now.
#[derive(Clone, Default)]
struct Mood(Arc<AtomicU8>);

impl Mood {
    const THERE: u8 = 0;
    const REFUSES: u8 = 1;
    const SILENT: u8 = 2;

    fn reply(&self) -> Reply {
        match self.0.load(SeqCst) {
            Self::THERE => Reply::Do,
            Self::REFUSES => Reply::Status(503),
            _ => Reply::Silence,
        }
    }
}

/// Waits until the breaker of the payments' handler is in this state.
async fn breaker_is(pod: &Pod, state: u64) {
    until(&format!("the breaker to be in state {state}"), PATIENCE, async || {
        let counts = pod.try_counts().await?;
        let found = counts.sum("breaker_state", "payments", &[("handler", "charge_wallet")]);
        if found == state { Ok(()) } else { Err(format!("{found}")) }
    })
    .await;
}

/// Waits until a service has committed so many records.
async fn commits(shop: &Shop, service: &str, records: usize) {
    until(&format!("{service} to commit {records} records"), PATIENCE, async || {
        let committed = committed(&shop.group(service), &shop.topic).await;
        let sum: i64 = committed.values().map(|(offset, _)| offset).sum();
        if sum == i64::try_from(records).unwrap() { Ok(()) } else { Err(sum) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_gateway_costs_no_event_few_attempts_and_nobody_else_anything() {
    let mood = Mood::default();
    let asked = mood.clone();
    let gateway = Gateway::that(move |_| asked.reply()).await;
    let shop = Shop::new(2)
        .await
        .with("SHOP__GATEWAY__URL", &gateway.url())
        .with("SHOP__GATEWAY__TIMEOUT", "1s")
        // Without a breaker these would be spent within a second.
        .with("RETRY__MAX_ATTEMPTS", "4")
        .with("RETRY__MAX_DELAY", "200ms");
    let orders = |count, seed| SampleOrders { count, seed, ..SampleOrders::default() };
    let mut sent: Vec<Sent> = shop.produce(&orders(100, 1)).await;
    let mut first = shop.start();
    shop.finishes(sent.len(), PATIENCE).await;

    mood.0.store(Mood::REFUSES, SeqCst);
    let began = Instant::now();
    let before = gateway.requests().len();
    sent.extend(shop.produce(&orders(300, 2)).await);
    breaker_is(&first, 2).await;
    let opened = began.elapsed();
    // Nobody else needs the gateway.
    commits(&shop, "orders", sent.len()).await;
    commits(&shop, "notifications", sent.len()).await;
    // Now and then it lets one through to see whether the gateway is back.
    until("the probe to tell of the breaker", PATIENCE, async || {
        match http::get(first.http, "/readyz").await {
            Ok((200, ready)) if ready.contains("payments: breaker of charge_wallet: it is open") => Ok(()),
            other => Err(other),
        }
    })
    .await;

    // A pod that dies takes its breaker along, and the next one finds out for itself.
    first.worker.kill_9();
    let second = shop.start();
    breaker_is(&second, 2).await;
    tokio::time::sleep((outage() / 2).saturating_sub(began.elapsed())).await;
    mood.0.store(Mood::SILENT, SeqCst);
    tokio::time::sleep(outage().saturating_sub(began.elapsed())).await;
    let requests = gateway.requests();
    mood.0.store(Mood::THERE, SeqCst);
    let back = Instant::now();
    breaker_is(&second, 0).await;
    let closed = back.elapsed();
    shop.finishes(sent.len(), PATIENCE).await;
    let (recovered, away) = (back.elapsed(), began.elapsed() - back.elapsed());

    let mut attempts = BTreeMap::<&str, usize>::new();
    requests[before..].iter().for_each(|request| *attempts.entry(&request.key).or_default() += 1);
    let (total, most) = (requests.len() - before, attempts.values().max().copied().unwrap_or_default());
    println!(
        "away {away:.1?}: open after {opened:.1?}, {total} requests about {} events, {most} about one; \
         closed {closed:.1?} after its return, all settled after {recovered:.1?}",
        attempts.len()
    );
    shop.ledger().await.must_be(&Ledger::expected(&sent, orders(0, 0).opening_credit_cents));
    let mut letters = shop.letters("payments", &sent).await;
    letters.dedup();
    assert!(letters == expected_letters(&sent, "payments"), "no letter but those that are due");
    // A probe's limit and the longest pause, three times; and what a busy machine takes.
    assert!(recovered < Duration::from_secs(30), "{recovered:?}");
    let probes = usize::try_from(away.as_secs() / 4).unwrap() + 8;
    assert!(total < 200 + probes, "{total} requests in {away:?}");
    assert!(most < 10 + probes / 8, "{most} about one event");
}
