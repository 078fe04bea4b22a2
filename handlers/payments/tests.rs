use oncewise::{
    config::Secret,
    prelude::*,
    testing::{TestRecord, check_idempotent, context},
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
    (ChargeWallet { inbox, gateway: Gateway::default(), opening_credit_cents }, database, home)
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

#[tokio::test]
async fn the_last_cent_is_enough_and_a_cent_less_is_not() {
    let (enough, database, _home) = handler(1999).await;
    enough.handle(&order("e1"), &context("e1")).await.unwrap();
    assert_eq!(balance(&database).await, 0);

    let (short, database, _home) = handler(1998).await;
    let outcome = short.handle(&order("e1"), &context("e1")).await;
    let Err(Failure::Reject { cause }) = outcome else { panic!("{outcome:?}") };
    assert_eq!(cause.to_string(), "insufficient funds");
    assert_eq!(rows(&database).await, [0, 0, 0], "not even a wallet");
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

#[tokio::test]
async fn a_gateway_over_http_is_asked_once_for_each_payment() {
    let asked =
        HttpStub::that(|request| if request.attempt == 1 { Reply::DoBut(503) } else { Reply::Do }).await;
    let (mut handler, database, _home) = handler(1_000_000).await;
    let settings = GatewaySettings {
        url: Secret::new(asked.url()),
        token: None,
        timeout: std::time::Duration::from_secs(10),
    };
    handler.gateway = Gateway::at(&settings).unwrap();
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
