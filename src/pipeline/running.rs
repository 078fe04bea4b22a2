//! A handler's run under a claim.

use tokio::time::Instant;

use super::{
    decode::Event,
    dedupe::Stopped,
    delivery::Delivery,
    dispatch::{Attempt, Running, was_applied},
    held::Claimed,
    stage::BegunState,
};
use crate::{Context, Handled, store::Run};

/// After so many workers died over an event, the store is told when it runs.
const TAKEOVERS_BEFORE_MARK: u32 = 1;
/// After so many, it runs with nothing else in flight.
const TAKEOVERS_BEFORE_ALONE: u32 = 2;

/// Why a handler was not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRun {
    /// Its partition is to stop.
    Stopped,
    /// A person has paused it while it waited for a place.
    Held,
    /// Somebody else may have the claim by now.
    Uncertain,
}

impl From<Stopped> for NotRun {
    fn from(Stopped: Stopped) -> Self {
        Self::Stopped
    }
}

impl Delivery<'_> {
    /// Lets a handler end that has begun.
    pub(super) async fn go_on(&self, event: &Event, state: BegunState) -> Attempt {
        match state {
            BegunState::Over(attempt) => attempt,
            BegunState::Waits(running, _place, _stay) => {
                running.rest(event.route.settings.timeout, &event.route.metrics).await
            }
        }
    }

    /// Waits for a place and runs the handler once.
    pub(super) async fn run(
        &self,
        event: &Event,
        ctx: &Context,
        claimed: &Claimed,
        in_doubt: &mut bool,
    ) -> Result<Attempt, NotRun> {
        let (route, service, job) = (&event.route, self.service(), &event.job);
        let alone = claimed.grant.takeovers >= TAKEOVERS_BEFORE_ALONE;
        let place = self.partition.unless_stopped(service.capacity.place(self.partition.epoch));
        let _place = tokio::select! {
            biased;
            () = self.partition.topic.hold.closed() => return Err(NotRun::Held),
            place = place => place?,
        };
        if let Some(pace) = service.replay.as_ref().and_then(|replay| replay.pace.as_ref()) {
            self.partition.unless_stopped(pace.turn()).await?;
        }
        let _stay = self.partition.unless_stopped(service.crowd.enter(alone)).await?;
        if claimed.grant.takeovers >= TAKEOVERS_BEFORE_MARK {
            let run = if alone { Run::Alone } else { Run::InCrowd };
            service.claims.mark(claimed, run, &self.partition.stop).await?;
        }
        if self.partition.stop.is_cancelled() {
            return Err(NotRun::Stopped);
        }
        let limit = route.settings.timeout;
        if *in_doubt {
            match was_applied(job, ctx, limit).await {
                Ok(true) => return Ok(Attempt::Handled(Handled::Done)),
                Ok(false) => {
                    *in_doubt = false;
                    ctx.outbox().clear();
                }
                Err(failed) => return Ok(Attempt::Failed(failed)),
            }
        }
        // Asking may have taken longer than the lease, with the store out of reach.
        if !claimed.is_certain() {
            return Err(NotRun::Uncertain);
        }
        claimed.begin(ctx.attempt());
        Ok(Running::begin(job, ctx, Instant::now()).rest(limit, &route.metrics).await)
    }
}
