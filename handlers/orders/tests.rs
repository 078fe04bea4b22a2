use oncewise::{
    prelude::*,
    testing::{TestRecord, check_idempotent, context},
};

use super::*;
use crate::event::Item;
use crate::testing::{inbox, is_reject, order};

#[tokio::test]
async fn an_order_is_stored_with_its_items() {
    let (inbox, database, _home) = inbox().await;
    let handler = StoreOrder { inbox };
    let mut order = order("e1");
    order.items.push(Item { sku: "pen".into(), quantity: u32::MAX });
    assert_eq!(handler.handle(&order, &context("e1")).await.unwrap(), Handled::Done);
    let rows =
        "SELECT order_id || ' ' || event_id || ' ' || user_id || ' ' || amount_cents || ' ' || currency
                || ' ' || email || ' ' || phone FROM orders WHERE created_at = '2026-01-02T03:04:05Z'";
    assert_eq!(database.texts(rows).await, ["o-e1 e1 u1 1999 EUR ann@example.com +4912345"]);
    let rows =
        "SELECT order_id || ' ' || line || ' ' || sku || ' ' || quantity FROM order_items ORDER BY line";
    assert_eq!(database.texts(rows).await, ["o-e1 1 book 2", "o-e1 2 pen 4294967295"]);
}

#[tokio::test]
async fn an_event_that_comes_twice_is_stored_once() {
    let (inbox, database, _home) = inbox().await;
    let handler = StoreOrder { inbox };
    assert!(!handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    }
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 1);
    assert_eq!(database.number("SELECT count(*) FROM order_items").await, 1);
    assert!(handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
    assert!(!handler.was_applied(&order("e2"), &context("e2")).await.unwrap());
}

#[tokio::test]
async fn an_order_that_cannot_be_or_is_taken_is_rejected_and_leaves_no_trace() {
    let (inbox, database, _home) = inbox().await;
    let handler = StoreOrder { inbox };
    let empty = OrderCreated { items: Vec::new(), ..order("e1") };
    assert!(is_reject(&handler.handle(&empty, &context("e1")).await));

    handler.handle(&order("e2"), &context("e2")).await.unwrap();
    let other_event = OrderCreated { event_id: "e3".into(), ..order("e2") };
    assert!(is_reject(&handler.handle(&other_event, &context("e3")).await));
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 1);
    assert!(!handler.was_applied(&other_event, &context("e3")).await.unwrap(), "no mark without the effect");
}

#[tokio::test]
async fn an_order_is_stored_once_whatever_goes_wrong() {
    check_idempotent(
        TestRecord::json(&order("e1")),
        inbox,
        |(inbox, ..)| service(inbox.clone()),
        async |(_, database, _)| database.texts("SELECT order_id || ' ' || line FROM order_items").await,
    )
    .await
    .unwrap();
}
