use oncewise::{Header, Record, prelude::*, testing::context};

use super::*;
use crate::testing::{inbox, is_reject, order};

fn payment(event_id: &str) -> PaymentSettled {
    let settled_at = "2026-01-02T03:04:05.678901Z".parse().unwrap();
    PaymentSettled { settled_at, ..PaymentSettled::now(&order(event_id)) }
}

#[tokio::test]
async fn a_payment_that_comes_twice_has_one_receipt() {
    let (inbox, database, _home) = inbox().await;
    let handler = WriteReceipt { inbox };
    assert!(!handler.was_applied(&payment("e1"), &context("e1")).await.unwrap());
    for _ in 0..2 {
        assert_eq!(handler.handle(&payment("e1"), &context("e1")).await.unwrap(), Handled::Done);
    }
    let receipts =
        "SELECT order_id || ' ' || user_id || ' ' || amount_cents || ' ' || currency || ' ' || email
                    FROM receipts WHERE settled_at = '2026-01-02T03:04:05.678901Z'";
    assert_eq!(database.texts(receipts).await, ["o-e1 u1 1999 EUR ann@example.com"]);
    assert!(handler.was_applied(&payment("e1"), &context("e1")).await.unwrap());
}

#[tokio::test]
async fn a_second_event_about_the_same_payment_is_refused() {
    let (inbox, database, _home) = inbox().await;
    let handler = WriteReceipt { inbox };
    handler.handle(&payment("e1"), &context("e1")).await.unwrap();
    assert!(is_reject(&handler.handle(&payment("e1"), &context("e2")).await));
    assert_eq!(database.number("SELECT count(*) FROM receipts").await, 1);
}

#[tokio::test]
async fn an_event_is_told_by_its_source_and_id() {
    let (inbox, _, _home) = inbox().await;
    let handler = WriteReceipt { inbox };
    let key = |headers: &[(&'static str, &'static str)]| {
        let headers = headers.iter().map(|(name, value)| Header::text(*name, *value)).collect();
        let meta = Record { headers, ..context("e1").meta().clone() };
        handler.dedupe_key(&payment("e1"), &meta).as_str().to_owned()
    };
    let of = |source, id| {
        key(&[
            ("ce_specversion", "1.0"),
            ("ce_type", "payments.settled"),
            ("ce_source", source),
            ("ce_id", id),
        ])
    };
    assert_eq!(of("payments", "1"), of("payments", "1"));
    assert_ne!(of("payments", "1"), of("payments", "2"));
    assert_ne!(of("payments", "1"), of("others", "1"));
    assert_eq!(key(&[("ce_source", "payments")]), "", "no key, no receipt");
}

#[tokio::test]
async fn an_outage_of_some_minutes_costs_no_event() {
    assert_eq!(WriteReceipt { inbox: inbox().await.0 }.retry_policy(), crate::patience::patience());
}
