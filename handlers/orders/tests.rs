use oncewise::{prelude::*, testing::context};

use super::*;
use crate::testing::{database, is_reject, order};

#[tokio::test]
async fn an_order_is_stored_with_its_items() {
    let (database, _folder) = database().await;
    let handler = StoreOrder { database: database.clone() };
    assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    let row: (String, String, String, i64, String, String, Option<String>, String) =
        sqlx::query_as("SELECT * FROM orders").fetch_one(database.pool()).await.unwrap();
    let text = |text: &str| text.to_owned();
    let expected = (
        text("o-e1"),
        text("e1"),
        text("u1"),
        1999,
        text("EUR"),
        text("ann@example.com"),
        Some(text("+4912345")),
        text("2026-01-02T03:04:05Z"),
    );
    assert_eq!(row, expected);
    let items: Vec<(String, i64, String, i64)> =
        sqlx::query_as("SELECT * FROM order_items").fetch_all(database.pool()).await.unwrap();
    assert_eq!(items, [(text("o-e1"), 1, text("book"), 2)]);
}

#[tokio::test]
async fn an_event_that_comes_twice_is_stored_once() {
    let (database, _folder) = database().await;
    let handler = StoreOrder { database: database.clone() };
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
    let (database, _folder) = database().await;
    let handler = StoreOrder { database: database.clone() };
    let empty = OrderCreated { items: Vec::new(), ..order("e1") };
    assert!(is_reject(&handler.handle(&empty, &context("e1")).await));

    handler.handle(&order("e2"), &context("e2")).await.unwrap();
    let other_event = OrderCreated { event_id: "e3".into(), ..order("e2") };
    assert!(is_reject(&handler.handle(&other_event, &context("e3")).await));
    assert_eq!(database.number("SELECT count(*) FROM orders").await, 1);
    assert!(!handler.was_applied(&other_event, &context("e3")).await.unwrap(), "no mark without the effect");
}
