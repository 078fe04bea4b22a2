//! The way of one record that needs more than its batch can give: it waits, fails, or is in doubt.

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
    retry,
    running::NotRun,
    source::Partition,
    stage::{Asked, Begun, Stage},
};
use crate::{
    Handled, Record,
    crash::{crash_point, is_broken},
    store::{Claim, Grant},
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
    let (route, how) = match stage {
        Stage::Asked { event, asked, near, begun } => {
            let how = delivery.event(&event, asked, near, begun).await?;
            (Some(event.route), how)
        }
        Stage::Unfit(route, disposition, why) => {
            let end = Ending {
                disposition,
                attempts: 0,
                first_failure: None,
                in_doubt: false,
                failed: &Failed::finally(why),
            };
            delivery.dead_letter(route.as_deref(), None, &end).await?;
            (route, How::DeadLettered)
        }
    };
    delivery.service().settled(
        partition.topic.metrics(route.as_deref()),
        how,
        record,
        millis(delivery.service().clock.now()),
    );
    Ok(Settled::new(partition.epoch, record.offset, how))
}

/// What a claim led to.
enum Step {
    Settled(How),
    /// The claim is gone: ask for it again after this time.
    AskAgain(Duration),
}

impl Delivery<'_> {
    /// Does what the store's answer says, and asks again until the event is settled.
    async fn event(
        &self,
        event: &Event,
        asked: Asked,
        near: Option<Places>,
        mut begun: Option<Begun>,
    ) -> Result<How, Stopped> {
        let service = self.service();
        let Asked { request, claim, mut at } = asked;
        let mut first = Some((claim, near));
        let mut pause = ASK_AGAIN.0;
        // Taken over, and whether it took effect before is not known yet.
        let mut in_doubt = false;
        let mut first_failed = None;
        loop {
            let (claim, near) = match first.take() {
                Some(first) => first,
                None => {
                    self.partition.unless_held_or_stopped().await?;
                    let near =
                        self.partition.unless_stopped(service.near.place(self.partition.epoch)).await?;
                    at = Instant::now();
                    (service.claims.claim(&request, &self.partition.stop).await?, Some(near))
                }
            };
            let grant = match claim {
                Claim::Won(grant) => {
                    if self.is_forgotten(event, &grant) {
                        drop(near);
                        let claimed = service.claims.hold(&request, grant, at, CancellationToken::new());
                        service.claims.let_go(&claimed).await;
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
                    drop(near);
                    // Whoever has it may finish at any moment.
                    self.partition.wait(left.clamp(ASK_AGAIN.0, pause)).await?;
                    pause = (pause * 2).min(ASK_AGAIN.1);
                    continue;
                }
                Claim::BackingOff { left } => {
                    drop(near);
                    self.partition.wait(left.clamp(ASK_AGAIN.0, BACKING_OFF_AGAIN)).await?;
                    continue;
                }
                Claim::Spent(grant) => {
                    let why = format!(
                        "{} workers died while they handled it, the last ones with nothing else in flight",
                        grant.takeovers
                    );
                    drop(near);
                    let claimed = service.claims.hold(&request, grant, at, CancellationToken::new());
                    return self.deadly(event, &claimed, &why).await;
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
                    service.status.foreign(self.record, &request.key.to_string());
                    drop(near);
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
            match self.claimed(event, claimed, near, begun, &mut in_doubt, &mut first_failed).await? {
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
        claimed: Claimed,
        near: Option<Places>,
        begun: Option<Begun>,
        in_doubt: &mut bool,
        first_failed: &mut Option<Instant>,
    ) -> Result<Step, Stopped> {
        let settings = &event.route.settings;
        // Where a worker died in the last attempt, that attempt has not failed: it is made again.
        if begun.is_none() && claimed.grant.attempts >= settings.retry.max_attempts && !*in_doubt {
            drop(near);
            let Grant { attempts, first_failure_ms: first_failure, .. } = claimed.grant;
            let failed = &Failed::finally(SPENT_ELSEWHERE);
            let disposition = Disposition::Exhausted;
            let end = Ending { disposition, attempts, first_failure, in_doubt: false, failed };
            return self.give_up(event, &claimed, &end).await.map(Step::Settled);
        }
        let (ctx, attempt) = match begun {
            Some(Begun { ctx, state }) => {
                claimed.begin(ctx.attempt());
                (ctx, Ok(self.go_on(event, state).await))
            }
            None => {
                let ctx = self.context(event, &claimed.grant, Some(claimed.cancelled().clone()));
                let attempt = match self.announce(&claimed.key()).await {
                    Ok(()) => self.run(event, &ctx, &claimed, in_doubt).await,
                    Err(Stopped) => Err(NotRun::Stopped),
                };
                (ctx, attempt)
            }
        };
        // What nobody takes, letters or events out, must not keep other events from being claimed.
        drop(near);
        let attempt = match attempt {
            Ok(attempt) => attempt,
            Err(NotRun::Uncertain) => return Ok(Step::AskAgain(Duration::ZERO)),
            Err(why @ (NotRun::Stopped | NotRun::Held)) => {
                // Nothing has run: the next owner need not wait for the lease.
                let Grant { attempts, first_failure_ms, .. } = claimed.grant;
                self.hand_over(&claimed, attempts, first_failure_ms, *in_doubt).await;
                return if why == NotRun::Held { Ok(Step::AskAgain(Duration::ZERO)) } else { Err(Stopped) };
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
                        attempts: ctx.attempt(),
                        first_failure: claimed.grant.first_failure_ms,
                        in_doubt: *in_doubt,
                        failed: &refused,
                    };
                    return self.end(event, &claimed, &end).await.map(Step::Settled);
                }
                crash_point("after_publish");
                let how = self.finish(&claimed, self.handled(handled), ctx.attempt()).await;
                crash_point("after_complete");
                how.map(Step::Settled)
            }
            Attempt::Failed(failed) => {
                self.failed(event, claimed, ctx.attempt(), &failed, *in_doubt, first_failed).await
            }
        }
    }

    /// After a failed attempt: later again, or never. `first_failed` is when this very task saw the first one.
    async fn failed(
        &self,
        event: &Event,
        claimed: Claimed,
        attempts: u32,
        failed: &Failed,
        in_doubt: bool,
        first_failed: &mut Option<Instant>,
    ) -> Result<Step, Stopped> {
        let (route, service) = (&event.route, self.service());
        let now = millis(service.clock.now());
        let first_failure = claimed.grant.first_failure_ms.unwrap_or(now);
        if claimed.grant.first_failure_ms.is_none() {
            *first_failed = Some(Instant::now());
        }
        // The time of day may be set meanwhile; it counts only where another process saw the first failure.
        let since_first = match *first_failed {
            Some(then) => then.elapsed(),
            None => Duration::from_millis(u64::try_from(now - first_failure).unwrap_or(0)),
        };
        let verdict = route.settings.retry.verdict(attempts, since_first, failed.after, (service.chance)());
        service.status.attempt_failed(self.record, route.handler.name(), event.key(), attempts, failed);
        if !claimed.is_certain() && !is_broken("unconditional_delete") {
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
