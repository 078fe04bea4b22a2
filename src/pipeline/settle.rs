//! The way of one record, from bytes to [`Settled`]: decode → dedupe → dispatch → retry → dead letter.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    How, Settled,
    capacity::Place,
    dead_letter::{Disposition, millis},
    decode::{Decoded, Event, decode},
    dedupe::{Back, Stopped},
    delivery::Delivery,
    dispatch::{Attempt, attempt, was_applied},
    ending::Ending,
    failure::Failed,
    held::Claimed,
    retry,
    source::Partition,
};
use crate::{
    Context, Handled, Record,
    crash::crash_point,
    store::{Claim, End, Grant, Run},
};

/// After so many workers died over an event, the store is told when it runs.
const TAKEOVERS_BEFORE_MARK: u32 = 1;
/// After so many, it runs with nothing else in flight.
const TAKEOVERS_BEFORE_ALONE: u32 = 2;
/// Between two questions whether somebody else has finished; doubles from the first to the second.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// An event that waits for its next attempt can be asked for that early, in case a person has freed it.
const BACKING_OFF_AGAIN: Duration = Duration::from_secs(5);
/// A value in the store that is not ours will not go away by itself.
const FOREIGN_AGAIN: Duration = Duration::from_secs(5);
/// The error of an event that has no attempts left and comes without a letter: the store knows only how many there were.
const SPENT_ELSEWHERE: &str = "all attempts failed; the worker that made them stopped before it could write this letter, and its log says why";

/// Works on one record until it needs no more work, or until its partition is told to stop.
pub(crate) async fn settle(partition: &Partition, record: &Arc<Record>) -> Result<Settled, Stopped> {
    let delivery = Delivery { partition, record };
    let (route, decoded) = decode(&partition.topic.table, record);
    let replay = partition.topic.service.replay.as_deref();
    let how = match decoded {
        Decoded::Event(event) if replay.is_some() && !event.route.handler.replayable() => How::LeftOut,
        Decoded::Event(event) => delivery.event(&event).await?,
        Decoded::Unwanted(what) => delivery.handled(Handled::Skipped(what.into())),
        // Its letter was written when the live group met it.
        Decoded::Unfit(..) if replay.is_some_and(|replay| replay.was_passed(record)) => How::WasDead,
        Decoded::Unfit(disposition, why) => {
            let end = Ending {
                disposition,
                attempts: 0,
                first_failure: None,
                in_doubt: false,
                failed: &Failed::finally(why),
            };
            delivery.dead_letter(route, None, &end).await?;
            How::DeadLettered
        }
    };
    delivery.service().settled(partition.topic.metrics(route), how, record);
    Ok(Settled::new(partition.epoch, record.offset, how))
}

/// What a claim led to.
enum Step {
    Settled(How),
    /// The claim is gone: ask for it again after this time.
    AskAgain(Duration),
}

impl Delivery<'_> {
    /// Asks for the claim and does what the answer says, until the event is settled.
    async fn event(&self, event: &Event<'_>) -> Result<How, Stopped> {
        let service = self.service();
        let request = self.claim_request(event);
        let mut pause = ASK_AGAIN.0;
        // Taken over, and whether it took effect before is not known yet.
        let mut in_doubt = false;
        loop {
            // A claim has to be kept alive until its handler has run: none is asked for long before that.
            let near = self.unless_stopped(service.near.place(self.partition.epoch)).await?;
            let asked = Instant::now();
            let grant = match service.claims.claim(&request, &self.partition.stop).await? {
                Claim::Won(grant) => {
                    if self.is_forgotten(event, &grant) {
                        drop(near);
                        service.claims.let_go(&service.claims.hold(&request, grant, asked)).await;
                        return Err(Stopped);
                    }
                    grant
                }
                Claim::TakenOver(grant) => {
                    in_doubt = true;
                    grant
                }
                Claim::Done => return self.enter(&request.key, How::Duplicate).await,
                Claim::Dead => return self.enter(&request.key, How::WasDead).await,
                Claim::Busy { left } => {
                    drop(near);
                    // Whoever has it may finish at any moment.
                    self.wait(left.clamp(ASK_AGAIN.0, pause)).await?;
                    pause = (pause * 2).min(ASK_AGAIN.1);
                    continue;
                }
                Claim::BackingOff { left } => {
                    drop(near);
                    self.wait(left.clamp(ASK_AGAIN.0, BACKING_OFF_AGAIN)).await?;
                    continue;
                }
                Claim::Spent(grant) => {
                    let why = format!(
                        "{} workers died while they handled it, the last ones with nothing else in flight",
                        grant.takeovers
                    );
                    drop(near);
                    let claimed = service.claims.hold(&request, grant, asked);
                    let how = self.deadly(event, &claimed, &why).await?;
                    return self.enter(&request.key, how).await;
                }
                Claim::Mismatch => {
                    drop(near);
                    // Its letter was written when the live group met it.
                    if service.replay.as_ref().is_some_and(|replay| replay.was_passed(self.record)) {
                        return Ok(How::WasDead);
                    }
                    return self.mismatch(event).await;
                }
                Claim::Foreign => {
                    service.status.foreign(self.record, request.key.as_str());
                    drop(near);
                    self.wait(FOREIGN_AGAIN).await?;
                    continue;
                }
            };
            crash_point("after_claim");
            let claimed = service.claims.hold(&request, grant, asked);
            match self.claimed(event, claimed, near, &mut in_doubt).await? {
                Step::Settled(how) => return self.enter(&request.key, how).await,
                Step::AskAgain(delay) => {
                    self.wait(delay).await?;
                    pause = ASK_AGAIN.0;
                }
            }
        }
    }

    /// Runs the handler under a claim, and ends the claim with what came of it.
    async fn claimed(
        &self,
        event: &Event<'_>,
        claimed: Claimed,
        near: Place,
        in_doubt: &mut bool,
    ) -> Result<Step, Stopped> {
        let (service, settings) = (self.service(), &event.route.settings);
        let claims = &service.claims;
        // Where a worker died in the last attempt, that attempt has not failed: it is made again.
        if claimed.grant.attempts >= settings.retry.max_attempts && !*in_doubt {
            drop(near);
            let Grant { attempts, first_failure_ms: first_failure, .. } = claimed.grant;
            let failed = &Failed::finally(SPENT_ELSEWHERE);
            let disposition = Disposition::Exhausted;
            let end = Ending { disposition, attempts, first_failure, in_doubt: false, failed };
            return self.give_up(event, &claimed, &end).await.map(Step::Settled);
        }
        let ctx = self.context(event, &claimed);
        let attempt = match self.announce(&claimed.renewal().held.key).await {
            Ok(()) => self.run(event, &ctx, &claimed, in_doubt).await,
            Err(stopped) => Err(stopped),
        };
        // What nobody takes, letters or events out, must not keep other events from being claimed.
        drop(near);
        let attempt = match attempt {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return Ok(Step::AskAgain(Duration::ZERO)),
            Err(Stopped) => {
                // Nothing has run: the next owner need not wait for the lease.
                let Grant { attempts, first_failure_ms, .. } = claimed.grant;
                self.hand_over(&claimed, attempts, first_failure_ms, *in_doubt).await;
                return Err(Stopped);
            }
        };
        match attempt {
            Attempt::Handled(handled) => {
                crash_point("after_effect");
                if handled == Handled::Done
                    && let Err(refused) = self.publish(&ctx).await
                {
                    let end = Ending {
                        disposition: Disposition::Rejected,
                        attempts: ctx.attempt,
                        first_failure: claimed.grant.first_failure_ms,
                        in_doubt: *in_doubt,
                        failed: &refused,
                    };
                    return self.end(event, &claimed, &end).await.map(Step::Settled);
                }
                crash_point("after_publish");
                claims.complete(&claimed, End::Done, ctx.attempt).await;
                crash_point("after_complete");
                Ok(Step::Settled(self.handled(handled)))
            }
            Attempt::Failed(failed) => self.failed(event, claimed, ctx.attempt, &failed, *in_doubt).await,
        }
    }

    /// Waits for a place and runs the handler once. `None`: by then the claim was no longer certain.
    async fn run(
        &self,
        event: &Event<'_>,
        ctx: &Context,
        claimed: &Claimed,
        in_doubt: &mut bool,
    ) -> Result<Option<Attempt>, Stopped> {
        let (route, service, job) = (event.route, self.service(), &*event.job);
        let alone = claimed.grant.takeovers >= TAKEOVERS_BEFORE_ALONE;
        let _place = self.unless_stopped(service.capacity.place(self.partition.epoch)).await?;
        if let Some(pace) = service.replay.as_ref().and_then(|replay| replay.pace.as_ref()) {
            self.unless_stopped(pace.turn()).await?;
        }
        let _stay = self.unless_stopped(service.crowd.enter(alone)).await?;
        if claimed.grant.takeovers >= TAKEOVERS_BEFORE_MARK {
            let run = if alone { Run::Alone } else { Run::InCrowd };
            service.claims.mark(claimed, run, &self.partition.stop).await?;
        }
        if self.partition.stop.is_cancelled() {
            return Err(Stopped);
        }
        if !claimed.is_certain() {
            return Ok(None);
        }
        let limit = route.settings.timeout;
        if *in_doubt {
            match was_applied(job, ctx, limit).await {
                Ok(true) => return Ok(Some(Attempt::Handled(Handled::Done))),
                Ok(false) => {
                    *in_doubt = false;
                    ctx.outbox.clear();
                }
                Err(failed) => return Ok(Some(Attempt::Failed(failed))),
            }
        }
        claimed.begin(ctx.attempt);
        Ok(Some(attempt(job, ctx, limit, &route.metrics).await))
    }

    /// After a failed attempt: later again, or never.
    async fn failed(
        &self,
        event: &Event<'_>,
        claimed: Claimed,
        attempts: u32,
        failed: &Failed,
        in_doubt: bool,
    ) -> Result<Step, Stopped> {
        let (route, service) = (event.route, self.service());
        let now = millis(service.clock.now());
        let first_failure = claimed.grant.first_failure_ms.unwrap_or(now);
        let since_first = Duration::from_millis(u64::try_from(now - first_failure).unwrap_or(0));
        let verdict = route.settings.retry.verdict(attempts, since_first, failed.after, (service.chance)());
        service.status.attempt_failed(self.record, route.handler.name(), event.key(), attempts, failed);
        if !claimed.is_certain() {
            // Somebody else may have the event by now; what becomes of it there is what counts.
            return Ok(Step::AskAgain(Duration::ZERO));
        }
        if let (true, retry::Verdict::Again(delay)) = (failed.retryable, verdict) {
            let back = Back { delay, attempts, first_failure_ms: Some(first_failure), in_doubt };
            service.claims.release(&claimed, back, &self.partition.stop).await?;
            drop(claimed);
            crash_point("in_backoff");
            return Ok(Step::AskAgain(delay));
        }
        let disposition = if failed.retryable { Disposition::Exhausted } else { Disposition::Rejected };
        let end = Ending { disposition, attempts, first_failure: Some(first_failure), in_doubt, failed };
        // The first refusal of an event that nobody has tried before is the handler's word that it did nothing.
        let is_untouched = !failed.retryable && attempts == 1 && !in_doubt;
        let ended = if is_untouched {
            self.end(event, &claimed, &end).await
        } else {
            self.give_up(event, &claimed, &end).await
        };
        ended.map(Step::Settled)
    }
}
