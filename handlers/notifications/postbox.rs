//! Several effects for one event, none of which can be part of a transaction.

use oncewise::{Context, Failure};
use thiserror::Error;

use super::{Channels, confirmation::Confirmation, sql};
use crate::{
    database::{Database, DatabaseError},
    event::OrderCreated,
};

/// Sends each message that has no mark, and marks it once it is acknowledged.
///
/// Between the acknowledgement and the mark there is a moment in which the worker may die, the database may
/// fail or the attempt may be cut off, and the message is sent again then. The SMS gateway knows the idempotency
/// key and does nothing the second time. A second e-mail arrives, under the same `Message-ID`.
#[derive(Debug)]
pub(super) struct Postbox {
    pub(super) database: Database,
    pub(super) channels: Channels,
}

/// Another worker has the event now.
#[derive(Debug, Error)]
#[error("another worker has taken the event over")]
struct TakenOver;

impl Postbox {
    /// Tries all that are not sent, since one that cannot be is no reason to hold another one back.
    ///
    /// # Errors
    /// The first failure that may pass, else the first that never will.
    pub(super) async fn send_all(&self, order: &OrderCreated, ctx: &Context) -> Result<(), Failure> {
        let mut worst = Ok(());
        for message in self.unsent(order).await? {
            let sent = self.send(&message, ctx).await;
            worst = match (worst, sent) {
                (Ok(()), sent) => sent,
                (Err(Failure::Reject { .. }), Err(retry @ Failure::Retry { .. })) => Err(retry),
                (worst, _) => worst,
            };
        }
        worst
    }

    /// The messages without a mark.
    pub(super) async fn unsent<'a>(
        &self,
        order: &'a OrderCreated,
    ) -> Result<Vec<Confirmation<'a>>, DatabaseError> {
        let sent = sql::sent_channels(&self.database, &order.order_id).await?;
        let mut messages = Confirmation::all(order);
        messages.retain(|message| sent.iter().all(|channel| channel != message.channel.as_str()));
        Ok(messages)
    }

    async fn send(&self, message: &Confirmation<'_>, ctx: &Context) -> Result<(), Failure> {
        if ctx.cancelled().is_cancelled() {
            return Err(Failure::retry(TakenOver));
        }
        self.channels.send(message, ctx).await?;
        sql::mark_sent(&self.database, message).await?;
        Ok(())
    }
}
