//! What a customer is told.

use crate::event::OrderCreated;

/// One message about one order.
#[derive(Debug)]
pub(super) struct Receipt<'a> {
    pub(super) order: &'a OrderCreated,
    pub(super) channel: &'static str,
    pub(super) recipient: &'a str,
    pub(super) text: String,
}

impl<'a> Receipt<'a> {
    /// By e-mail, and by SMS where there is a number.
    pub(super) fn all(order: &'a OrderCreated) -> Vec<Self> {
        let receipt = |channel, recipient| Self { order, channel, recipient, text: text(order) };
        let email = receipt("email", order.email.as_str());
        let sms = order.phone.as_deref().map(|phone| receipt("sms", phone));
        std::iter::once(email).chain(sms).collect()
    }

    /// Sends it, for now, to the log: without the address, which belongs to nobody who reads logs.
    pub(super) fn log(&self) {
        tracing::info!(order_id = self.order.order_id, channel = self.channel, "{}", self.text);
    }
}

fn text(order: &OrderCreated) -> String {
    let pieces: u64 = order.items.iter().map(|item| u64::from(item.quantity)).sum();
    let (whole, hundredths) = (order.amount_cents / 100, order.amount_cents % 100);
    let items = if pieces == 1 { "item" } else { "items" };
    format!(
        "We have received your order {}: {pieces} {items}, {whole}.{hundredths:02} {}",
        order.order_id, order.currency
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::order;

    #[test]
    fn amounts_are_exact() {
        let text = |amount_cents| text(&OrderCreated { amount_cents, ..order("e1") });
        assert_eq!(text(1999), "We have received your order o-e1: 2 items, 19.99 EUR");
        assert!(text(5).ends_with(" 0.05 EUR"));
        assert!(text(i64::MAX).ends_with(" 92233720368547758.07 EUR"));
    }
}
