//! The whole chain, from one end to the other, while workers die at every point of it.
//!
//! `worker produce` → orders, payments, notifications → `payments.settled` → receipts; on a real Kafka, Redis and
//! PostgreSQL, with a mail server and gateways that fail.

mod audit;
mod outside;

use std::time::Duration;

use handlers::sample::SampleOrders;

use self::{
    audit::Audit,
    outside::{Call, Outside},
};
use crate::{
    database::postgres,
    setup::{Pod, SERVICES, Shop},
    support::{pod::Pods, wait::until},
};

/// Of `orders.created`: so many that the third pod of a group takes some from both others. The other topic has one, so
/// that whoever gets that gets others too.
const PARTITIONS: [i32; 2] = [8, 1];
const RECORDS_PER_ROUND: u64 = 800;
/// What ten rounds have left is worked off, by processes that were built without optimisation.
const ALL_OF_IT: Duration = Duration::from_secs(600);
/// Generous: a pod starts in a second, and joins when its group has missed the dead one.
const PATIENCE: Duration = Duration::from_secs(120);

/// How a pod dies. Each has had some work before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Death {
    /// By its own hand, when it reaches this point for this time.
    At(&'static str),
    /// When somebody outside has done what it asked for, and before it knows.
    Asking(Call),
    /// Like a process that the kernel has no memory left for.
    Killed,
}

use Call::{Mail, Payment, Sms};
use Death::{Asking, At, Killed};

/// So many pods die, one of each service in every round: orders, payments, notifications. Orders is never refused and
/// asks nobody, so that some points are not on its way.
const ROUNDS: [[Death; 3]; 10] = [
    [Killed, At("after_dead_letter"), Asking(Mail)],
    [At("after_claim:20"); 3],
    [At("after_effect:20"); 3],
    [At("after_publish:20"); 3],
    [At("after_complete:20"); 3],
    [At("before_commit:12"); 3],
    [At("in_revoke"); 3],
    [Killed, At("in_backoff:5"), At("in_backoff:5")],
    [Killed, Asking(Payment), Asking(Sms)],
    [Killed, Killed, Asking(Mail)],
];

/// A pod of one service that has died.
#[derive(Debug)]
struct Dead {
    service: &'static str,
    death: Death,
    /// What it was called outside.
    name: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_order_to_receipt_nothing_is_lost_and_nothing_doubles_but_what_a_death_may() {
    let outside = Outside::open().await;
    let shop = Shop::with_partitions(PARTITIONS, postgres().await).await.with("DEDUPE__LEASE", "6s");
    let mut steady = vec![outside.start(&shop, "steady-1", |pods| pods, &[])];
    let (mut recipes, mut dead) = (Vec::new(), Vec::new());
    for (seed, deaths) in (1..).zip(ROUNDS) {
        let orders = SampleOrders { count: RECORDS_PER_ROUND, poison: 0.02, seed, ..SampleOrders::default() };
        let mut dying = Vec::new();
        for (service, death) in SERVICES.into_iter().zip(deaths) {
            let name = format!("{service}-{seed}");
            dying.push((start(&shop, &outside, &name, service, death), Dead { service, death, name }));
        }
        for (pod, Dead { service, .. }) in &mut dying {
            has_partitions(pod, service).await;
        }
        shop.produce_by_worker(&orders).await;
        recipes.push(orders);
        if deaths.contains(&At("in_revoke")) {
            steady.push(outside.start(&shop, "steady-2", |pods| pods, &[]));
        }
        for (mut pod, who) in dying {
            dies(&mut pod, &who).await;
            dead.push(who);
        }
    }
    let audit = Audit::of(&shop, &recipes, &dead).await;
    shop.finishes(audit.sent.len(), ALL_OF_IT).await;

    let told = audit.everything(&outside).await;
    shop.has_no_lag().await;
    println!("{told}");
}

/// A pod of one service that works on one record of each partition at a time, so that a death leaves no more in doubt.
fn start(shop: &Shop, outside: &Outside, name: &str, service: &str, death: Death) -> Pod {
    let crash = if let At(point) = death { point } else { "" };
    let make = |pods: Pods| {
        pods.with("WORKER__CONCURRENCY", "1")
            .with("WORKER__ORDERING", "partition")
            .variable("ONCEWISE_CRASH", crash)
    };
    let pod = outside.start(shop, name, make, &["--service", service]);
    if let Asking(call) = death {
        outside.condemn(name, &pod, call);
    }
    pod
}

/// Waits until there is work to come to the pod, or it has died over what the rounds before have left.
async fn has_partitions(pod: &mut Pod, service: &str) {
    until("a pod to be given partitions", PATIENCE, async || {
        if pod.worker.ended().is_some() {
            return Ok(());
        }
        let partitions = pod.try_counts().await?.partitions();
        if partitions.contains_key(service) { Ok(()) } else { Err("none yet".to_owned()) }
    })
    .await;
}

async fn dies(pod: &mut Pod, Dead { service, death, .. }: &Dead) {
    if *death == Killed {
        until("a pod to be at work", PATIENCE, async || {
            let settled = pod.counts().await.sum("records_total", service, &[]);
            if settled >= 20 { Ok(()) } else { Err(settled) }
        })
        .await;
        pod.worker.kill_9();
        return;
    }
    let ended = pod.worker.wait(PATIENCE).await;
    assert_eq!(ended.code(), None, "{service} ended by itself instead of {death:?}: {}", pod.worker.output());
}
