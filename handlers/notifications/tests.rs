use oncewise::{prelude::*, testing::context};

use super::*;
use crate::testing::{inbox, is_reject, order};

#[tokio::test]
async fn an_order_that_comes_twice_is_confirmed_once_by_each_channel() {
    let (inbox, database, _home) = inbox().await;
    let handler = SendReceipt { inbox };
    assert!(!handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(handler.handle(&order("e1"), &context("e1")).await.unwrap(), Handled::Done);
    }
    let sent = "SELECT channel || ' to ' || recipient || ': ' || text FROM notifications ORDER BY channel";
    let text = "We have received your order o-e1: 2 items, 19.99 EUR";
    let expected = [format!("email to ann@example.com: {text}"), format!("sms to +4912345: {text}")];
    assert_eq!(database.texts(sent).await, expected);
    assert!(handler.was_applied(&order("e1"), &context("e1")).await.unwrap());
}

#[tokio::test]
async fn without_a_number_there_is_no_sms() {
    let (inbox, database, _home) = inbox().await;
    let handler = SendReceipt { inbox };
    let order = OrderCreated { phone: None, ..order("e1") };
    handler.handle(&order, &context("e1")).await.unwrap();
    assert_eq!(database.number("SELECT count(*) FROM notifications").await, 1);
}

#[tokio::test]
async fn an_order_that_cannot_be_is_not_confirmed() {
    let (inbox, database, _home) = inbox().await;
    let handler = SendReceipt { inbox };
    let order = OrderCreated { items: Vec::new(), ..order("e1") };
    assert!(is_reject(&handler.handle(&order, &context("e1")).await));
    assert_eq!(database.number("SELECT count(*) FROM notifications").await, 0);
}
