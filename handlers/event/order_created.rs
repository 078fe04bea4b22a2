//! What begins everything: somebody ordered.

use jiff::Timestamp;
use oncewise::Failure;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Somebody ordered something. The record's key is the order's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCreated {
    /// What makes two deliveries the same event.
    pub event_id: String,
    /// The order.
    pub order_id: String,
    /// Who ordered, and pays.
    pub user_id: String,
    /// The whole amount, in hundredths of the currency.
    pub amount_cents: i64,
    /// ISO 4217, three capital letters.
    pub currency: String,
    /// What was ordered.
    pub items: Vec<Item>,
    /// Where the confirmation goes.
    pub email: String,
    /// Where a short confirmation goes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// When the order was placed, RFC 3339.
    pub created_at: Timestamp,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What.
    pub sku: String,
    /// How many, from 1.
    pub quantity: u32,
}

impl OrderCreated {
    /// The logical name of the topic.
    pub const TOPIC: &str = "orders.created";

    /// Whether a service may act on the order.
    ///
    /// # Errors
    /// The first field whose value no order can have.
    pub fn check(&self) -> Result<(), InvalidOrder> {
        let filled =
            |field, text: &str| if text.is_empty() { Err(InvalidOrder::Empty(field)) } else { Ok(()) };
        filled("order_id", &self.order_id)?;
        filled("user_id", &self.user_id)?;
        filled("email", &self.email)?;
        if self.amount_cents < 0 {
            return Err(InvalidOrder::NegativeAmount);
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(InvalidOrder::Currency);
        }
        if self.items.is_empty() {
            return Err(InvalidOrder::Empty("items"));
        }
        if self.items.iter().any(|item| item.quantity == 0) {
            return Err(InvalidOrder::NoQuantity);
        }
        Ok(())
    }
}

/// An order that cannot be. The texts reach dead letters, so they name the field and not its value.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidOrder {
    /// A field that must be filled is not.
    #[error("`{0}` is empty")]
    Empty(&'static str),
    /// Money would flow the other way.
    #[error("`amount_cents` is negative; allowed are 0 and more")]
    NegativeAmount,
    /// Not ISO 4217.
    #[error("`currency` is no currency; allowed are three letters A-Z")]
    Currency,
    /// A line without goods.
    #[error("`quantity` of an item is 0; allowed are 1 and more")]
    NoQuantity,
}

impl From<InvalidOrder> for Failure {
    fn from(error: InvalidOrder) -> Self {
        Self::reject(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;

    #[test]
    fn an_order_that_cannot_be_names_its_field() {
        let refusal = |spoil: fn(&mut OrderCreated)| {
            let mut order = order("e1");
            spoil(&mut order);
            order.check()
        };
        assert_eq!(refusal(|_| ()), Ok(()));
        assert_eq!(refusal(|order| order.amount_cents = 0), Ok(()), "a gift is an order");
        assert_eq!(refusal(|order| order.amount_cents = -1), Err(InvalidOrder::NegativeAmount));
        assert_eq!(refusal(|order| order.currency = "eur".into()), Err(InvalidOrder::Currency));
        assert_eq!(refusal(|order| order.currency = "EURO".into()), Err(InvalidOrder::Currency));
        assert_eq!(refusal(|order| order.items[0].quantity = 0), Err(InvalidOrder::NoQuantity));
        assert_eq!(refusal(|order| order.items.clear()), Err(InvalidOrder::Empty("items")));
        assert_eq!(refusal(|order| order.order_id.clear()), Err(InvalidOrder::Empty("order_id")));
        assert_eq!(refusal(|order| order.user_id.clear()), Err(InvalidOrder::Empty("user_id")));
        assert_eq!(refusal(|order| order.email.clear()), Err(InvalidOrder::Empty("email")));
    }

    #[test]
    fn an_order_reads_as_documented() {
        let json = r#"{"event_id":"e1","order_id":"o-e1","user_id":"u1","amount_cents":1999,"currency":"EUR",
            "items":[{"sku":"book","quantity":2}],"email":"ann@example.com","created_at":"2026-01-02T04:04:05+01:00",
            "added_later":true}"#;
        let read: OrderCreated = serde_json::from_str(json).unwrap();
        assert_eq!(read, OrderCreated { phone: None, ..order("e1") });
    }
}
