//! The way of one record that needs more than its batch can give: it waits, fails, or is in doubt.
//!
//! What seldom happens to a record is boxed here: every record that waits would carry the room for it.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    How, Settled,
    capacity::Places,
    dead_letter::{Disposition, millis},
    decode::Event,
    dedupe::{Back, Stopped},
    delivery::Delivery,
    dispatch::Attempt,
    ending::Ending,
    failure::Failed,
    held::Claimed,
    outage::Failures,
    pass::Pass,
    running::Ran,
    source::Partition,
    stage::{Asked, Begun, Stage},
};
use crate::{
    Handled, Record,
    crash::crash_point,
    store::{Claim, ClaimRequest, Grant},
};

/// Between two questions whether somebody else has finished; doubles from the first to the second.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(500));
/// An event that waits for its next attempt can be asked for that early, in case a person has freed it.
const BACKING_OFF_AGAIN: Duration = Duration::from_secs(5);
/// A value in the store that is not ours will not go away by itself.
const FOREIGN_AGAIN: Duration = Duration::from_secs(5);
/// The error of an event that has no attempts left and comes without a letter: the store knows only how many there were.
const SPENT_ELSEWHERE: &str = "all attempts failed; the worker that made them stopped before it could write this letter, and its log says why";

/// Works on one record until it needs no more work, or until its partition is told to stop.
pub(super) async fn settle(
    partition: &Partition,
    record: &Arc<Record>,
    stage: Stage,
) -> Result<Settled, Stopped> {
    let delivery = Delivery { partition, record };
    let (route, span, how) = match stage {
        Stage::Asked { event, asked, near, begun } => {
            let request = asked.request.clone();
            let how = delivery.event(&event, request, Some((asked, near)), begun).await?;
            (Some(event.route), event.span, how)
        }
        Stage::Shut(event) => {
            let how = match Box::pin(delivery.until_due(&event)).await? {
                Some(how) => how,
                None => {
                    let request = delivery.claim_request(&event);
                    delivery.event(&event, request, None, None).await?
                }
            };
            (Some(event.route), event.span, how)
        }
        Stage::Unfit(route, disposition, why) => {
            let span = partition.topic.span(record, route.as_deref());
            let failed = Failed::finally(why);
            let end = Ending::of(disposition, &failed);
            Box::pin(delivery.dead_letter(route.as_deref(), None, span.as_deref(), &end)).await?;
            (route, span, How::DeadLettered)
        }
    };
    if let Some(span) = span {
        span.end(how.outcome(), None);
    }
    delivery.service().settled(
        partition.topic.metrics(route.as_deref()),
        how,
        record,
        millis(delivery.service().clock.now()),
    );
    Ok(Settled::new(partition.epoch, record.offset, how))
}

/// What a claim led to.
pub(super) enum Step {
    Settled(How),
    /// The claim is gone: ask for it again after this time.
    AskAgain(Duration),
}

impl Delivery<'_> {
    /// Does what the store's answer says, and asks again until the event is settled.
    async fn event(
        &self,
        event: &Event,
        request: ClaimRequest,
        mut first: Option<(Asked, Option<Places>)>,
        mut begun: Option<Begun>,
    ) -> Result<How, Stopped> {
        let service = self.service();
        let mut pause = ASK_AGAIN.0;
        // Taken over, and whether it took effect before is not known yet.
        let mut in_doubt = false;
        let mut failures = Failures::default();
        loop {
            // What it takes to run: given back wherever it has to wait.
            let (claim, at, entry) = match first.take() {
                Some((Asked { claim, at, .. }, near)) => (claim, at, (near, None)),
                None => {
                    self.partition.unless_held_or_stopped().await?;
                    let pass = self.pass(event, &mut failures).await?;
                    let near =
                        self.partition.unless_stopped(service.near.place(self.partition.epoch)).await?;
                    let at = Instant::now();
                    let claim = service.claims.claim(&request, &self.partition.stop).await?;
                    (event.remembering(claim), at, (Some(near), Some(pass)))
                }
            };
            let grant = match claim {
                Claim::Won(grant) => {
                    if self.is_forgotten(event, &grant) {
                        drop(entry);
                        let claimed = service.claims.hold(&request, grant, at, CancellationToken::new());
                        Box::pin(service.claims.let_go(&claimed)).await;
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
                Claim::Moved => return Ok(How::WasMoved),
                Claim::Busy { left } => {
                    drop(entry);
                    // Whoever has it may finish at any moment.
                    self.partition.wait(left.clamp(ASK_AGAIN.0, pause)).await?;
                    pause = (pause * 2).min(ASK_AGAIN.1);
                    continue;
                }
                Claim::BackingOff { left } => {
                    drop(entry);
                    if let Some(how) = Box::pin(self.put_off(event, &request.key, left)).await? {
                        return Ok(how);
                    }
                    self.partition.wait(left.clamp(ASK_AGAIN.0, BACKING_OFF_AGAIN)).await?;
                    continue;
                }
                Claim::Spent(grant) => {
                    let why = format!(
                        "{} workers died while they handled it, the last ones with nothing else in flight",
                        grant.takeovers
                    );
                    drop(entry);
                    let claimed = service.claims.hold(&request, grant, at, CancellationToken::new());
                    return Box::pin(self.deadly(event, &claimed, &why)).await;
                }
                Claim::Mismatch { hop } => {
                    drop(entry);
                    // Its letter was written when the live group met it.
                    if service.replay.as_ref().is_some_and(|replay| replay.was_passed(self.record)) {
                        return Ok(How::WasDead);
                    }
                    return Box::pin(self.mismatch(event, hop)).await;
                }
                Claim::Foreign => {
                    service.status.foreign(self.record, &request.key.to_string());
                    drop(entry);
                    self.partition.wait(FOREIGN_AGAIN).await?;
                    continue;
                }
            };
            let begun = begun.take();
            if begun.is_none() {
                crash_point("after_claim");
            }
            let cancelled = begun.as_ref().map(|begun| begun.ctx.cancelled().clone()).unwrap_or_default();
            let claimed = service.claims.hold(&request, grant, at, cancelled);
            match self.claimed(event, claimed, entry, begun, &mut in_doubt, &mut failures).await? {
                Step::Settled(how) => return Ok(how),
                Step::AskAgain(delay) => {
                    self.partition.wait(delay).await?;
                    pause = ASK_AGAIN.0;
                }
            }
        }
    }

    /// Runs the handler under a claim, and ends the claim with what came of it.
    async fn claimed(
        &self,
        event: &Event,
        mut claimed: Claimed,
        (near, pass): (Option<Places>, Option<Pass>),
        begun: Option<Begun>,
        in_doubt: &mut bool,
        failures: &mut Failures,
    ) -> Result<Step, Stopped> {
        let policy = &event.route.settings.retry;
        let counted = failures.counted(claimed.grant.attempts, policy);
        // Where a worker died in the last attempt, that attempt has not failed: it is made again.
        let is_spent = begun.is_none() && counted >= policy.max_attempts && !*in_doubt;
        if is_spent && !self.may_go_on(event, &mut claimed.grant, failures) {
            drop((near, pass));
            let Grant { attempts, first_failure_ms: first_failure, .. } = claimed.grant;
            let failed = &Failed::finally(SPENT_ELSEWHERE);
            let end = Ending { attempts, first_failure, ..Ending::of(Disposition::Exhausted, failed) };
            return Box::pin(self.give_up(event, &claimed, &end)).await.map(Step::Settled);
        }
        *in_doubt |= is_spent && claimed.grant.attempts == 0;
        let (ctx, ran) = match begun {
            Some(Begun { ctx, pass, state }) => {
                claimed.begin(ctx.attempt());
                (ctx, Ok(Ran::Over(self.go_on(event, state).await, pass)))
            }
            None => {
                let ctx = self.context(event, &claimed.grant, Some(claimed.cancelled().clone()));
                let ran = match self.announce(&claimed.key()).await {
                    Ok(()) => Box::pin(self.run(event, &ctx, &claimed, pass, in_doubt)).await,
                    Err(stopped) => Err(stopped),
                };
                (ctx, ran)
            }
        };
        // What nobody takes, letters or events out, must not keep other events from being claimed.
        drop(near);
        let (attempt, pass) = match ran {
            Ok(Ran::Over(attempt, pass)) => (attempt, pass),
            Ok(Ran::Uncertain) => return Ok(Step::AskAgain(Duration::ZERO)),
            Ok(Ran::Shut) => {
                let Grant { attempts, first_failure_ms, .. } = claimed.grant;
                let back = Back { delay: Duration::ZERO, attempts, first_failure_ms, in_doubt: *in_doubt };
                Box::pin(self.service().claims.release(&claimed, back, &self.partition.stop)).await?;
                return Ok(Step::AskAgain(Duration::ZERO));
            }
            Err(Stopped) => {
                // Nothing has run: the next owner need not wait for the lease.
                let Grant { attempts, first_failure_ms, .. } = claimed.grant;
                Box::pin(self.hand_over(&claimed, attempts, first_failure_ms, *in_doubt)).await;
                return Err(Stopped);
            }
        };
        match attempt {
            Attempt::Handled(handled) => {
                let failed_before = ctx.attempt() > 1 || *in_doubt;
                let failed_before = failed_before.then(|| claimed.key().digest());
                event.route.gate.answered(pass, failed_before, Instant::now());
                crash_point("after_effect");
                if handled == Handled::Done
                    && let Err(refused) = self.publish(&ctx).await
                {
                    let end = Ending {
                        attempts: ctx.attempt(),
                        first_failure: claimed.grant.first_failure_ms,
                        in_doubt: *in_doubt,
                        ..Ending::of(Disposition::Rejected, &refused)
                    };
                    return Box::pin(self.end(event, &claimed, &end)).await.map(Step::Settled);
                }
                crash_point("after_publish");
                let how = self.finish(&claimed, self.handled(handled), ctx.attempt()).await;
                crash_point("after_complete");
                how.map(Step::Settled)
            }
            Attempt::Failed(failed) => {
                Box::pin(self.failed(event, claimed, &failed, pass, *in_doubt, failures)).await
            }
        }
    }
}
