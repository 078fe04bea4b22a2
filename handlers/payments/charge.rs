//! Charges the wallet of the user who ordered.

use oncewise::prelude::*;

use super::{Gateway, wallet::Wallets};
use crate::event::{OrderCreated, PaymentSettled};
use crate::patience::patience;

/// Has the payment authorised by the gateway, then deducts it from the wallet. The gateway knows a repeated
/// idempotency key, the database refuses one: between them there is no moment in which a crash charges twice. The
/// others hear of it, once, through an event that is stored with the payment.
pub(super) struct ChargeWallet {
    pub(super) gateway: Gateway,
    pub(super) wallets: Wallets,
}

impl Handler for ChargeWallet {
    const NAME: &'static str = "charge_wallet";
    type Event = OrderCreated;

    fn dedupe_key(&self, order: &OrderCreated, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&order.event_id)
    }

    fn retry_policy(&self) -> RetryPolicy {
        patience()
    }

    async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
        self.gateway.authorize(ctx, order).await?;
        let Some(mut tx) = self.wallets.inbox.begin(ctx).await? else { return done() };
        self.wallets.deduct(&mut tx, order).await?;
        ctx.publish(PaymentSettled::TOPIC, &order.order_id, &PaymentSettled::now(order))?;
        tx.commit(ctx).await?;
        done()
    }

    async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.wallets.inbox.was_applied(ctx).await?)
    }
}
