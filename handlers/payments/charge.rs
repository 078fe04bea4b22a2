//! Charges the wallet of the user who ordered.

use oncewise::prelude::*;

use super::{Gateway, wallet};
use crate::{database::inbox::Inbox, event::OrderCreated};

/// Has the payment authorised by the gateway, then deducts it from the wallet. The gateway knows a repeated
/// idempotency key, the database refuses one: between them there is no moment in which a crash charges twice.
#[derive(Debug)]
pub struct ChargeWallet {
    pub(super) inbox: Inbox,
    pub(super) gateway: Gateway,
    pub(super) opening_credit_cents: i64,
}

impl Handler for ChargeWallet {
    const NAME: &'static str = "charge_wallet";
    type Event = OrderCreated;

    fn dedupe_key(&self, order: &OrderCreated, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&order.event_id)
    }

    async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
        order.check()?;
        self.gateway.authorize(ctx, order).await?;
        let Some(mut tx) = self.inbox.begin(ctx).await? else { return done() };
        wallet::deduct(&mut tx, order, self.opening_credit_cents).await?;
        tx.commit(ctx).await?;
        done()
    }

    async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.inbox.was_applied(ctx).await?)
    }
}
