//! An event that is not tried again: before its letter is written, its handler is asked whether it has taken effect.
//!
//! An attempt that was cut off, or failed with its last words unheard (the reply to a commit, say), may have done its
//! work. A letter would then tell a person that nothing has happened, and the events out would never be sent.

use std::time::Duration;

use super::{
    How, decode::Event, dedupe::Stopped, delivery::Delivery, dispatch::was_applied, ending::Ending,
    failure::Failed, held::Claimed,
};
use crate::Context;

/// How often the handler is asked. What cannot say so for minutes will not say so by being asked for ever.
const TRIES: u32 = 10;
/// Between two questions; doubles from the first to the second.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// What the handler knows of its effect.
enum Effect {
    There,
    NotThere,
    /// It could not say, and why.
    NotKnown(String),
}

impl Delivery<'_> {
    /// Ends an event that is not tried again: as done if it has taken effect, with a letter otherwise.
    pub(super) async fn give_up(
        &self,
        event: &Event,
        claimed: &Claimed,
        end: &Ending<'_>,
    ) -> Result<How, Stopped> {
        // A context of its own: what earlier attempts have published is not what was stored with the effect.
        let ctx = self.context(event, &claimed.grant, Some(claimed.cancelled().clone()));
        let Ok(effect) = self.effect(event, &ctx).await else {
            self.hand_over(claimed, end.attempts, end.first_failure, true).await;
            return Err(Stopped);
        };
        match effect {
            Effect::NotThere => self.end(event, claimed, end).await,
            Effect::There => match self.publish(&ctx).await {
                Ok(()) => self.finish(claimed, How::Done, end.attempts).await,
                Err(refused) => self.end(event, claimed, &Ending { failed: &refused, ..*end }).await,
            },
            Effect::NotKnown(why) => {
                let known = &end.failed.error;
                let failed = Failed::finally(format!("{known}; whether it took effect is not known: {why}"));
                let failed = Failed { chain: end.failed.chain.clone(), ..failed };
                self.end(event, claimed, &Ending { failed: &failed, ..*end }).await
            }
        }
    }

    async fn effect(&self, event: &Event, ctx: &Context) -> Result<Effect, Stopped> {
        let mut pause = ASK_AGAIN.0;
        let mut tries = 0;
        loop {
            tries += 1;
            match was_applied(&event.job, ctx, event.route.settings.timeout).await {
                Ok(true) => return Ok(Effect::There),
                Ok(false) => return Ok(Effect::NotThere),
                Err(Failed { error, .. }) if tries == TRIES => return Ok(Effect::NotKnown(error)),
                Err(Failed { error, .. }) => {
                    tracing::warn!(%error, tries, "the handler cannot say whether the event took effect");
                }
            }
            self.partition.wait(pause).await?;
            pause = (pause * 2).min(ASK_AGAIN.1);
        }
    }
}
