//! Several effects for one event, none of which can be part of a transaction.

use std::time::Duration;

use oncewise::{Context, Failure};
use thiserror::Error;
use tokio::time::sleep;

use super::{Channels, channels::SendError, confirmation::Confirmation, sql};
use crate::{
    database::{Database, DatabaseError},
    event::OrderCreated,
    outside::MailError,
};

/// Sends each message that has no mark, and marks it once it is acknowledged.
///
/// Between the acknowledgement and the mark there is a moment in which the worker may die or the attempt may be cut
/// off, and the message is sent again then. The SMS gateway knows the idempotency key and does nothing the second time.
/// A second e-mail arrives, under the same `Message-ID`. So it does where the mail server was given the message and did
/// not acknowledge it, [`MOST_DOUBTS`] times in all.
#[derive(Debug)]
pub(super) struct Postbox {
    pub(super) database: Database,
    pub(super) channels: Channels,
}

/// After so many mails, each of which may have arrived, a person has to look: better than a fourth copy, and better than
/// to say that one was sent.
const MOST_DOUBTS: i64 = 3;

/// Between two tries to mark what was sent; doubles from the first to the second.
const MARK_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Nobody knows, and nobody goes on.
#[derive(Debug, Error)]
#[error("sent {times} times, and it is not known whether it has arrived")]
struct InDoubt {
    times: i64,
    source: MailError,
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
        match self.channels.send(message, ctx).await {
            Err(SendError::Email(error @ MailError::InDoubt(_))) => Err(self.doubt(message, error).await?),
            Err(error) => Err(error.into()),
            Ok(()) => self.mark(message).await,
        }
    }

    /// Writes down that a message was sent, however often it takes: whoever gives up here sends it again. What the
    /// database refuses, it refuses every time.
    async fn mark(&self, message: &Confirmation<'_>) -> Result<(), Failure> {
        let mut pause = MARK_AGAIN.0;
        while let Err(error) = sql::mark_sent(&self.database, message).await {
            let (order_id, channel) = (&message.order.order_id, message.channel.as_str());
            tracing::warn!(order_id, channel, %error, "a message was sent, and its mark is not written yet");
            let failure = Failure::from(error);
            if matches!(failure, Failure::Reject { .. }) {
                return Err(failure);
            }
            sleep(pause).await;
            pause = (pause * 2).min(MARK_AGAIN.1);
        }
        Ok(())
    }

    async fn doubt(&self, message: &Confirmation<'_>, error: MailError) -> Result<Failure, DatabaseError> {
        let times = sql::add_doubt(&self.database, message).await?;
        let may_go_on = times < MOST_DOUBTS;
        Ok(if may_go_on { error.into() } else { Failure::reject(InDoubt { times, source: error }) })
    }
}
