//! Confirms an order.

use std::time::Duration;

use oncewise::prelude::*;

use super::postbox::Postbox;
use crate::event::OrderCreated;

/// Sends an e-mail, and an SMS where there is a number. Each is marked once it is acknowledged, so that a
/// failing SMS does not send the e-mail again.
///
/// The store remembers a confirmation for a day. That is short: an order that comes again later, from a replay
/// or because a group lost its position, is claimed and handled again. It is enough here, because the marks in
/// the database outlive it, and because the key is the order's and not the event's. Payments has no such choice.
#[derive(Debug)]
pub struct SendConfirmation {
    pub(super) postbox: Postbox,
}

impl Handler for SendConfirmation {
    const NAME: &'static str = "send_confirmation";
    type Event = OrderCreated;

    fn dedupe_key(&self, order: &OrderCreated, _: &Metadata) -> DedupeKey {
        DedupeKey::scoped("notification:orders", &order.order_id)
    }

    fn ttl(&self) -> Option<Duration> {
        Some(Duration::from_secs(24 * 60 * 60))
    }

    async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
        order.check()?;
        self.postbox.send_all(order, ctx).await?;
        done()
    }

    async fn was_applied(&self, order: &OrderCreated, _: &Context) -> Result<bool, Failure> {
        Ok(self.postbox.unsent(order).await?.is_empty())
    }
}
