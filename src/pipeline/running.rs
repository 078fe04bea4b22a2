//! A handler's run under a claim.

use tokio::time::Instant;

use super::{
    decode::Event,
    dedupe::Stopped,
    delivery::Delivery,
    dispatch::{Attempt, Running, was_applied},
    held::Claimed,
    pass::Pass,
    stage::BegunState,
};
use crate::{Context, Handled, store::Run};

/// After so many workers died over an event, the store is told when it runs.
const TAKEOVERS_BEFORE_MARK: u32 = 1;
/// After so many, it runs with nothing else in flight.
const TAKEOVERS_BEFORE_ALONE: u32 = 2;

/// What became of a run.
pub(super) enum Ran {
    Over(Attempt, Pass),
    /// It did not begin: by then the claim was no longer certain.
    Uncertain,
    /// It did not begin: by then the handler's gate was shut, or a person had paused it.
    Shut,
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
        pass: Option<Pass>,
        in_doubt: &mut bool,
    ) -> Result<Ran, Stopped> {
        let (route, service, job) = (&event.route, self.service(), &event.job);
        let alone = claimed.grant.takeovers >= TAKEOVERS_BEFORE_ALONE;
        let place = self.partition.unless_stopped(service.capacity.place(self.partition.epoch));
        let _place = tokio::select! {
            biased;
            () = self.partition.topic.hold.closed() => return Ok(Ran::Shut),
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
        if self.partition.is_stopping() {
            return Err(Stopped);
        }
        let pass = pass.or_else(|| route.gate.try_pass()).filter(|pass| route.gate.holds(pass));
        let Some(mut pass) = pass else { return Ok(Ran::Shut) };
        pass.is_under_way(&route.gate);
        let limit = route.settings.timeout;
        if *in_doubt {
            match was_applied(job, ctx, limit).await {
                Ok(true) => return Ok(Ran::Over(Attempt::Handled(Handled::Done), pass)),
                Ok(false) => {
                    *in_doubt = false;
                    ctx.outbox().clear();
                }
                Err(failed) => return Ok(Ran::Over(Attempt::Failed(failed), pass)),
            }
        }
        // Asking may have taken longer than the lease, with the store out of reach.
        if !claimed.is_certain() {
            return Ok(Ran::Uncertain);
        }
        claimed.begin(ctx.attempt());
        Ok(Ran::Over(Running::begin(job, ctx, Instant::now()).rest(limit, &route.metrics).await, pass))
    }
}
