//! Charges the wallet of the user who ordered.

use oncewise::prelude::*;

use super::{Gateway, wallet::Wallets};
use crate::event::{OrderCreated, PaymentSettled};
use crate::patience::patience;

/// Rehearses the payment, has it authorised by the gateway, then makes it.
///
/// The gateway knows a repeated idempotency key, the database refuses one: between them there is no moment in which
/// a crash charges twice. The others hear of it, once, through an event that is stored with the payment.
///
/// The rehearsal's transaction is dropped and leaves no trace. It keeps the gateway from being asked for what the
/// wallet refuses anyway, and for what an earlier attempt has paid: by now the gateway might say no, and nobody
/// would hear of the payment. What the wallet refuses after all, because another payment came in between, leaves
/// an authorisation behind. That is a hold, which expires by itself; it takes no money.
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
        let Some(_) = self.wallets.deduct(order, ctx).await? else { return done() };
        self.gateway.authorize(ctx, order).await?;
        let Some(tx) = self.wallets.deduct(order, ctx).await? else { return done() };
        ctx.publish(PaymentSettled::TOPIC, &order.order_id, &PaymentSettled::now(order))?;
        tx.commit(ctx).await?;
        done()
    }

    async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.wallets.inbox.was_applied(ctx).await?)
    }
}
