use oncewise::{
    config::Secret,
    prelude::*,
    testing::{Fault, Harness, How, Moment, TestRecord, check_idempotent, context, published},
};

use super::*;
use crate::{
    database::Database,
    outside::GatewaySettings,
    testing::{
        Home,
        gateway::{Gateway as HttpStub, Reply},
        inbox, is_reject, is_retry, order,
    },
};

async fn handler(opening_credit_cents: i64) -> (ChargeWallet, Database, Home) {
    let (inbox, database, home) = inbox().await;
    let wallets = Wallets { inbox, opening_credit_cents };
    (ChargeWallet { gateway: Gateway::default(), wallets }, database, home)
}

/// Wallets, payments and marks.
async fn rows(database: &Database) -> [i64; 3] {
    [
        database.number("SELECT count(*) FROM wallets").await,
        database.number("SELECT count(*) FROM payments").await,
        database.number("SELECT count(*) FROM inbox").await,
    ]
}

async fn balance(database: &Database) -> i64 {
    database.number("SELECT balance_cents FROM wallets WHERE user_id = 'u1'").await
}

#[tokio::test]
async fn a_payment_is_deducted_to_the_cent() {
    let (handler, database, _home) = handler(1_000_000).await;
    assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    assert_eq!(balance(&database).await, 998_001);
    let amount = database.number("SELECT amount_cents FROM payments WHERE event_id = 'e1'").await;
    assert_eq!(amount, 1999);
    handler.handle(&order("e2"), &context("e2")).await.unwrap();
    assert_eq!(balance(&database).await, 996_002, "the second payment opens no second wallet");
}

#[tokio::test]
async fn the_largest_amounts_are_exact() {
    let (handler, database, _home) = handler(i64::MAX).await;
    let all_but_one = OrderCreated { amount_cents: i64::MAX - 1, ..order("e1") };
    handler.handle(&all_but_one, &context("e1")).await.unwrap();
    assert_eq!(balance(&database).await, 1);
}

#[tokio::test]
async fn an_event_that_comes_twice_is_paid_once() {
    let (handler, database, _home) = handler(1_000_000).await;
    assert!(!handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    }
    assert_eq!(balance(&database).await, 998_001);
    assert_eq!(rows(&database).await, [1, 1, 1]);
    assert!(handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
}

fn payments_published(ctx: &Context) -> Vec<PaymentSettled> {
    let events = published(ctx).into_iter().map(|(topic, key, value)| {
        let payment: PaymentSettled = serde_json::from_slice(&value).unwrap();
        assert_eq!((topic.as_str(), key), (PaymentSettled::TOPIC, payment.order_id.clone().into_bytes()));
        payment
    });
    events.collect()
}

#[tokio::test]
async fn a_payment_is_told_to_others_the_same_at_every_attempt() {
    let (handler, _, _home) = handler(1_000_000).await;
    let [first, again, asked] = [(); 3].map(|()| context("e1"));
    handler.handle(&order("e1"), &first).await.unwrap();
    handler.handle(&order("e1"), &again).await.unwrap();
    assert!(handler.was_applied(&order("e1"), &asked).await.unwrap());
    let settled = payments_published(&first);
    let [PaymentSettled { settled_at, .. }] = settled[..] else { panic!("{settled:?}") };
    assert_eq!(settled, [PaymentSettled { settled_at, ..PaymentSettled::now(&order("e1")) }]);
    assert_eq!(payments_published(&again), settled);
    assert_eq!(payments_published(&asked), settled);
    let stored = |ctx: &Context| ctx.stored_publications().unwrap();
    assert_eq!([stored(&again), stored(&asked)], [stored(&first), stored(&first)], "with the same ids");
}

#[tokio::test]
async fn the_last_cent_is_enough_and_a_cent_less_is_not() {
    let (enough, database, _home) = handler(1999).await;
    enough.handle(&order("e1"), &context("e1")).await.unwrap();
    assert_eq!(balance(&database).await, 0);

    let (short, database, _home) = handler(1998).await;
    let ctx = context("e1");
    let outcome = short.handle(&order("e1"), &ctx).await;
    let Err(Failure::Reject { cause }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.to_string(), "insufficient funds");
    assert_eq!(rows(&database).await, [0, 0, 0], "not even a wallet");
    assert_eq!(payments_published(&ctx), []);
    assert!(!short.was_applied(&order("e1"), &context("e1")).await.unwrap());
}

#[tokio::test]
async fn hundredths_of_another_currency_are_refused() {
    let (handler, database, _home) = handler(1_000_000).await;
    handler.handle(&order("e1"), &context("e1")).await.unwrap();
    let yen = OrderCreated { currency: "JPY".into(), ..order("e2") };
    assert!(is_reject(&handler.handle(&yen, &context("e2")).await));
    assert_eq!(rows(&database).await, [1, 1, 1]);
    assert_eq!(balance(&database).await, 998_001);
}

#[tokio::test]
async fn a_second_event_does_not_pay_the_same_order_again() {
    let (handler, database, _home) = handler(1_000_000).await;
    handler.handle(&order("e1"), &context("e1")).await.unwrap();
    let again = OrderCreated { event_id: "e2".into(), ..order("e1") };
    assert!(is_reject(&handler.handle(&again, &context("e2")).await));
    assert_eq!(balance(&database).await, 998_001);
}

#[tokio::test]
async fn a_busy_gateway_is_tried_again_and_nothing_is_written() {
    let (mut handler, database, _home) = handler(1_000_000).await;
    handler.gateway = Gateway::busy(100);
    let outcome = handler.handle(&order("e1"), &context("e1")).await;
    assert!(is_retry(&outcome));
    assert_eq!(rows(&database).await, [0, 0, 0]);
}

#[tokio::test]
async fn an_order_that_cannot_be_never_reaches_the_gateway() {
    let (mut handler, database, _home) = handler(1_000_000).await;
    handler.gateway = Gateway::busy(100);
    let negative = OrderCreated { amount_cents: -1, ..order("e1") };
    assert!(is_reject(&handler.handle(&negative, &context("e1")).await));
    assert_eq!(rows(&database).await, [0, 0, 0]);
}

fn over_http(stub: &HttpStub) -> Gateway {
    let (url, timeout) = (Secret::new(stub.url()), std::time::Duration::from_secs(10));
    Gateway::at(&GatewaySettings { url, token: None, timeout }).unwrap()
}

#[tokio::test]
async fn nobody_is_asked_about_a_payment_that_cannot_be_made() {
    let asked = HttpStub::that(|_| Reply::Do).await;
    let (mut handler, database, _home) = handler(2500).await;
    handler.gateway = over_http(&asked);
    handler.handle(&order("e1"), &context("e1")).await.unwrap();
    let same_order = OrderCreated { event_id: "e2".into(), ..order("e1") };
    let yen = OrderCreated { currency: "JPY".into(), amount_cents: 1, ..order("e3") };
    for refused in [same_order, yen, order("e4")] {
        let outcome = handler.handle(&refused, &context(&refused.event_id)).await;
        assert!(is_reject(&outcome), "{refused:?}: {outcome:?}");
    }
    assert_eq!(asked.effects().into_keys().collect::<Vec<_>>(), ["e1"]);
    assert_eq!((rows(&database).await, balance(&database).await), ([1, 1, 1], 501));
}

/// An attempt was cut off when its payment was made and its event not yet published.
#[tokio::test]
async fn a_gateway_that_has_changed_its_mind_parts_no_payment_from_its_event() {
    for status in [402, 503] {
        let asked = HttpStub::that(move |request| match request.attempt {
            1 => Reply::Do,
            _ => Reply::Status(status),
        });
        let (asked, (inbox, database, _home)) = (std::sync::Arc::new(asked.await), inbox().await);
        let gateway = std::sync::Arc::clone(&asked);
        let start = move || service(inbox.clone(), over_http(&gateway), 1_000_000);
        let mut harness = Harness::restarting(start);
        harness.at(Moment::AfterEffect, Fault::TimeOut).deliver(TestRecord::json(&order("e1"))).await;
        assert_eq!((harness.outcomes(), harness.published().len()), (vec![How::Done], 1), "{status}");
        assert_eq!((harness.attempts(), rows(&database).await), (2, [1, 1, 1]));
        assert_eq!(asked.requests().len(), 1, "who has paid is not asked about");
    }
}

#[tokio::test]
async fn a_gateway_over_http_is_asked_once_for_each_payment() {
    let asked =
        HttpStub::that(|request| if request.attempt == 1 { Reply::DoBut(503) } else { Reply::Do }).await;
    let (mut handler, database, _home) = handler(1_000_000).await;
    handler.gateway = over_http(&asked);
    assert!(is_retry(&handler.handle(&order("e1"), &context("e1")).await));
    assert_eq!(rows(&database).await, [0, 0, 0]);
    handler.handle(&order("e1"), &context("e1")).await.unwrap();
    assert_eq!(balance(&database).await, 998_001);
    let body = serde_json::json!({ "order_id": "o-e1", "amount_cents": 1999, "currency": "EUR" });
    assert_eq!(asked.effects(), [("e1".to_owned(), body)].into());
}

#[tokio::test]
async fn a_payment_is_made_once_whatever_goes_wrong() {
    check_idempotent(
        TestRecord::json(&order("e1")),
        inbox,
        |(inbox, ..)| service(inbox.clone(), Gateway::default(), 1_000_000),
        async |(_, database, _)| {
            let paid = "SELECT count(*) FROM wallets WHERE balance_cents = 998001";
            (rows(database).await, database.number(paid).await)
        },
    )
    .await
    .unwrap();
}

#[tokio::test]
async fn an_outage_of_some_minutes_costs_no_event() {
    assert_eq!(handler(0).await.0.retry_policy(), crate::patience::patience());
}
