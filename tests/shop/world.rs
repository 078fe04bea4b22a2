//! The world outside: a mail server and gateways that fail, and a worker that dies between an effect and its mark.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};
use std::time::Duration;

use handlers::event::OrderCreated;
use handlers::sample::{SampleKind, SampleOrders};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    ledger::Ledger,
    setup::{Sent, Shop, expected_letters},
    support::{
        gateway::{Gateway, Reply},
        mail_server::{Answer, MailServer},
        redis::store_lifetimes,
    },
};

/// With so many mails in all, the worker dies: the server has the last of them, and the worker does not know.
const DEATHS: [usize; 2] = [60, 120];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_customer_is_told_and_only_a_death_sends_a_second_mail() {
    let victim = Arc::new(AtomicI32::new(0));
    let (killed, kills) = (Arc::clone(&victim), |mails: usize| DEATHS.contains(&mails));
    let mail = MailServer::with(
        |_, asked| if asked % 7 == 3 { Answer::ToMessage("451 4.3.0 later") } else { Answer::Take },
        move |mails| {
            if kills(mails.len()) {
                let pid = Pid::from_raw(killed.load(Ordering::SeqCst)).expect("a worker to kill");
                kill_process(pid, Signal::KILL).expect("SIGKILL");
            }
        },
        &[],
    )
    .await;
    let third = |request: &_| Reply::failing(3, request);
    let (sms, payments) = (Gateway::that(third).await, Gateway::that(third).await);
    let shop = Shop::new(2)
        .await
        .with("SHOP__EMAIL__SMTP_URL", &format!("smtp://{}", mail.address))
        .with("SHOP__EMAIL__STARTTLS", "false")
        .with("SHOP__EMAIL__FROM", "The Shop <shop@example.com>")
        .with("SHOP__SMS__URL", &sms.url())
        .with("SHOP__GATEWAY__URL", &payments.url())
        // One at a time, so that a death finds one mail without its mark.
        .with("SERVICES__NOTIFICATIONS__WORKER__CONCURRENCY", "1");
    let orders = SampleOrders { count: 200, ..SampleOrders::default() };
    let sent = shop.produce(&orders).await;
    let mut pod = shop.start();
    for _ in DEATHS {
        victim.store(i32::try_from(pod.worker.pid()).unwrap(), Ordering::SeqCst);
        pod.worker.wait(Duration::from_secs(60)).await;
        pod = shop.start();
    }
    shop.finishes(sent.len(), Duration::from_secs(120)).await;

    shop.ledger().await.must_be(&Ledger::expected(&sent, orders.opening_credit_cents));
    // What has no key is remembered by nobody: behind a watermark that a death held, its letter comes again.
    let mut letters = shop.letters("notifications", &sent).await;
    letters.dedup();
    assert!(letters == expected_letters(&sent, "notifications"));
    let told = orders_of(&sent, &[SampleKind::Order, SampleKind::Unaffordable]);
    let mails = mail.mails();
    let mut copies = BTreeMap::<&str, usize>::new();
    mails.iter().for_each(|mail| *copies.entry(mail.header("Message-ID")).or_default() += 1);
    assert_eq!(copies.len(), told.len(), "everybody has a mail");
    assert_eq!(mails.len(), told.len() + DEATHS.len(), "and nobody two, but for a death");
    let doubled: BTreeSet<_> = copies.iter().filter(|(_, copies)| **copies > 1).map(|(id, _)| *id).collect();
    let unknown: BTreeSet<_> = DEATHS.iter().map(|death| mails[death - 1].header("Message-ID")).collect();
    assert_eq!(doubled, unknown, "those whose acknowledgement the worker did not live to see");

    let sorted = |mut numbers: Vec<String>| {
        numbers.sort();
        numbers
    };
    let numbers = sorted(told.iter().filter_map(|order| order.phone.clone()).collect());
    let texted = sms.effects();
    let texted = sorted(texted.values().map(|sms| sms["to"].as_str().unwrap().to_owned()).collect());
    assert_eq!(texted, numbers, "one SMS each");
    assert!(sms.requests().len() > numbers.len(), "some were asked for again");
    let day = Duration::from_secs(24 * 60 * 60);
    let remembered = store_lifetimes(&shop.prefix()).await;
    let for_a_day = remembered.iter().filter(|left| **left <= day).count();
    assert_eq!(for_a_day, told.len(), "its handler asks for a day, of {} events in all", remembered.len());
    let paid = orders_of(&sent, &[SampleKind::Order]);
    assert_eq!(payments.effects().len(), paid.len(), "what is paid is authorised once, and nothing else");
    assert!(payments.requests().len() > paid.len());
}

/// The orders of these kinds, each once.
fn orders_of(sent: &[Sent], kinds: &[SampleKind]) -> Vec<OrderCreated> {
    let orders = sent.iter().map(|sent| &sent.record);
    orders
        .filter(|record| kinds.contains(&record.kind))
        .map(|record| serde_json::from_slice(&record.value).unwrap())
        .collect()
}
