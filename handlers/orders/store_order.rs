//! Stores an order.

use oncewise::prelude::*;

use super::sql;
use crate::{database::inbox::Inbox, event::OrderCreated};

/// Stores an order and its items.
#[derive(Debug)]
pub struct StoreOrder {
    pub(super) inbox: Inbox,
}

impl Handler for StoreOrder {
    const NAME: &'static str = "store_order";
    type Event = OrderCreated;

    fn dedupe_key(&self, order: &OrderCreated, _: &Metadata) -> DedupeKey {
        DedupeKey::of(&order.event_id)
    }

    async fn handle(&self, order: &OrderCreated, ctx: &Context) -> Outcome {
        order.check()?;
        let Some(mut tx) = self.inbox.begin(ctx).await? else { return done() };
        sql::insert_order(&mut tx, order).await?;
        tx.commit(ctx).await?;
        done()
    }

    async fn was_applied(&self, _: &OrderCreated, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.inbox.was_applied(ctx).await?)
    }
}
