//! Confirms an order.

use oncewise::prelude::*;

use super::{receipt::Receipt, sql};
use crate::{database::inbox::Inbox, event::OrderCreated};

/// Writes the receipts of an order to their table, then to the log.
#[derive(Debug)]
pub struct SendReceipt {
    pub(super) inbox: Inbox,
}

impl Handler for SendReceipt {
    const NAME: &'static str = "send_receipt";
    type Event = OrderCreated;

    fn dedupe_key(&self, order: &OrderCreated, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&order.event_id)
    }

    async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
        order.check()?;
        let Some(mut tx) = self.inbox.begin(ctx).await? else { return done() };
        let receipts = Receipt::all(order);
        sql::insert_receipts(&mut tx, &receipts).await?;
        tx.commit(ctx).await?;
        receipts.iter().for_each(Receipt::log);
        done()
    }

    async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.inbox.was_applied(ctx).await?)
    }
}
