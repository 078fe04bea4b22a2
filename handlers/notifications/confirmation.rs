//! What a customer is told.

use std::fmt;

use crate::event::OrderCreated;

/// One message about one order.
#[derive(Debug)]
pub(super) struct Confirmation<'a> {
    pub(super) order: &'a OrderCreated,
    pub(super) channel: Channel,
    pub(super) recipient: &'a str,
}

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Channel {
    Email,
    Sms,
}

impl Channel {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }
}

impl<'a> Confirmation<'a> {
    /// By e-mail, and by SMS where there is a number.
    pub(super) fn all(order: &'a OrderCreated) -> Vec<Self> {
        let email = Self { order, channel: Channel::Email, recipient: &order.email };
        let sms = order.phone.as_deref().map(|phone| Self { order, channel: Channel::Sms, recipient: phone });
        std::iter::once(email).chain(sms).collect()
    }

    /// The same for every attempt at this message.
    pub(super) fn key(&self, idempotency_key: &str) -> String {
        format!("{idempotency_key}:{}", self.channel.as_str())
    }

    pub(super) fn subject(&self) -> String {
        format!("Your order {}", self.order.order_id)
    }
}

/// The text, short enough for an SMS.
impl fmt::Display for Confirmation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OrderCreated { order_id, currency, amount_cents, .. } = self.order;
        let pieces: u64 = self.order.items.iter().map(|item| u64::from(item.quantity)).sum();
        let items = if pieces == 1 { "item" } else { "items" };
        let (whole, hundredths) = (amount_cents / 100, amount_cents % 100);
        write!(
            f,
            "We have received your order {order_id}: {pieces} {items}, {whole}.{hundredths:02} {currency}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;

    #[test]
    fn amounts_are_exact() {
        let text = |amount_cents| {
            let order = OrderCreated { amount_cents, ..order("e1") };
            Confirmation::all(&order)[0].to_string()
        };
        assert_eq!(text(1999), "We have received your order o-e1: 2 items, 19.99 EUR");
        assert!(text(5).ends_with(" 0.05 EUR"));
        assert!(text(i64::MAX).ends_with(" 92233720368547758.07 EUR"));
    }
}
