//! What payments tells the others.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::OrderCreated;

/// An order has been paid. The record's key is the order's id, and no order is paid twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentSettled {
    /// The order.
    pub order_id: String,
    /// Who paid.
    pub user_id: String,
    /// What was deducted, in hundredths of the currency.
    pub amount_cents: i64,
    /// ISO 4217, three capital letters.
    pub currency: String,
    /// Where the receipt goes.
    pub email: String,
    /// When it was deducted, RFC 3339. The event is stored with the payment, so this never changes.
    pub settled_at: Timestamp,
}

impl PaymentSettled {
    /// The logical name of the topic.
    pub const TOPIC: &str = "payments.settled";

    /// The payment of this order, at this moment.
    #[must_use]
    pub fn now(order: &OrderCreated) -> Self {
        let OrderCreated { order_id, user_id, amount_cents, currency, email, .. } = order.clone();
        Self { order_id, user_id, amount_cents, currency, email, settled_at: Timestamp::now() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;

    #[test]
    fn a_payment_reads_as_documented() {
        let json = r#"{"order_id":"o-e1","user_id":"u1","amount_cents":1999,"currency":"EUR",
            "email":"ann@example.com","settled_at":"2026-01-02T04:04:05+01:00","added_later":true}"#;
        let read: PaymentSettled = serde_json::from_str(json).unwrap();
        let settled_at = "2026-01-02T03:04:05Z".parse().unwrap();
        assert_eq!(read, PaymentSettled { settled_at, ..PaymentSettled::now(&order("e1")) });
    }
}
