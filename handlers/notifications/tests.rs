use oncewise::{prelude::*, testing::context};

use super::*;
use crate::testing::{database, is_reject, order};

#[tokio::test]
async fn an_order_that_comes_twice_is_confirmed_once_by_each_channel() {
    let (database, _folder) = database().await;
    let handler = SendReceipt { database: database.clone() };
    assert!(!handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    }
    let sent: Vec<(String, String, String)> =
        sqlx::query_as("SELECT channel, recipient, text FROM notifications ORDER BY channel")
            .fetch_all(database.pool())
            .await
            .unwrap();
    let text = "We have received your order o-e1: 2 items, 19.99 EUR";
    let expected = [("email", "ann@example.com", text), ("sms", "+4912345", text)];
    assert_eq!(sent, expected.map(|(channel, to, text)| (channel.into(), to.into(), text.into())));
    assert!(handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
}

#[tokio::test]
async fn without_a_number_there_is_no_sms() {
    let (database, _folder) = database().await;
    let handler = SendReceipt { database: database.clone() };
    let order = OrderCreated { phone: None, ..order("e1") };
    handler.handle(&order, &context("e1")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM notifications").await, 1);
}

#[tokio::test]
async fn an_order_that_cannot_be_is_not_confirmed() {
    let (database, _folder) = database().await;
    let handler = SendReceipt { database: database.clone() };
    let order = OrderCreated { items: Vec::new(), ..order("e1") };
    assert!(is_reject(&handler.handle(&order, &context("e1")).await));
    assert_eq!(database.number("SELECT count(*) FROM notifications").await, 0);
}
