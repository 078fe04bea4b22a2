//! Several effects for one event, none of which can be part of a transaction.

use oncewise::{Context, Failure};
use thiserror::Error;

use super::{Channels, confirmation::Confirmation, sql};
use crate::database::Database;

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
    /// Tries all of them, since one that cannot be sent is no reason to hold another one back.
    ///
    /// # Errors
    /// The first that may be sent later, else the first that never will be.
    pub(super) async fn send_all(&self, messages: &[Confirmation<'_>], ctx: &Context) -> Result<(), Failure> {
        let mut worst = Ok(());
        for message in messages {
            let sent = self.send(message, ctx).await;
            worst = match (worst, sent) {
                (Ok(()), sent) => sent,
                (Err(Failure::Reject { .. }), Err(retry @ Failure::Retry { .. })) => Err(retry),
                (worst, _) => worst,
            };
        }
        worst
    }

    async fn send(&self, message: &Confirmation<'_>, ctx: &Context) -> Result<(), Failure> {
        if ctx.cancelled().is_cancelled() {
            return Err(Failure::retry(TakenOver));
        }
        // It also finds out whether the mark can be written afterwards.
        if sql::is_sent(&self.database, message).await? {
            return Ok(());
        }
        self.channels.send(message, ctx).await?;
        sql::mark_sent(&self.database, message).await?;
        Ok(())
    }

    pub(super) async fn has_sent_all(&self, messages: &[Confirmation<'_>]) -> Result<bool, Failure> {
        for message in messages {
            if !sql::is_sent(&self.database, message).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
