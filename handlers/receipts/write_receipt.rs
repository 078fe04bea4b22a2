//! Writes the receipt of a payment.

use oncewise::prelude::*;

use super::sql;
use crate::{database::inbox::Inbox, event::PaymentSettled, patience::patience};

/// Writes one receipt for each payment. The event has no id of its own: that of the record is the same however often
/// payments has to publish it.
#[derive(Debug)]
pub struct WriteReceipt {
    pub(super) inbox: Inbox,
}

impl Handler for WriteReceipt {
    const NAME: &'static str = "write_receipt";
    type Event = PaymentSettled;

    fn dedupe_key(&self, _: &PaymentSettled, meta: &Metadata) -> DedupeKey {
        DedupeKey::cloud_event(meta)
    }

    fn retry_policy(&self) -> RetryPolicy {
        patience()
    }

    async fn handle(&self, payment: &PaymentSettled, ctx: &Context) -> Outcome {
        let Some(mut tx) = self.inbox.begin(ctx).await? else { return done() };
        sql::insert_receipt(&mut tx, payment).await?;
        tx.commit(ctx).await?;
        done()
    }

    async fn was_applied(&self, _: &PaymentSettled, ctx: &Context) -> Result<bool, Failure> {
        Ok(self.inbox.was_applied(ctx).await?)
    }
}
