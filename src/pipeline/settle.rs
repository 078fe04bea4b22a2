//! The way of one record, from bytes to [`Settled`]: decode → dedupe → dispatch → retry → dead letter.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use super::{
    How, Settled,
    dead_letter::{Disposition, LetterError, Verdict, letter, millis},
    decode::{Decoded, decode},
    dedupe::{Claimed, Stopped},
    dispatch::{Attempt, attempt, was_applied},
    failure::Failed,
    retry,
    source::Partition,
};
use crate::{
    Context, Handled, Record,
    crash::crash_point,
    erased::Job,
    store::{Claim, ClaimRequest, End, Grant, StoreKey},
};

/// After so many workers died over an event, it runs with nothing else in flight.
const TAKEOVERS_BEFORE_ALONE: u32 = 2;
/// Between two questions whether somebody else has finished; doubles from the first to the second.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));
/// Between two tries to send a dead letter; doubles from the first to the second.
const SEND_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// A value in the store that is not ours will not go away by itself.
const FOREIGN_AGAIN: Duration = Duration::from_secs(5);
/// How long a worker that stops tries to give a claim back. Beyond it the lease does the same, later.
const HAND_OVER: Duration = Duration::from_secs(2);

/// Works on one record until it needs no more work, or until its partition is told to stop.
pub(crate) async fn settle(partition: &Partition, record: &Arc<Record>) -> Result<Settled, Stopped> {
    let delivery = Delivery { partition, record };
    let how = match decode(&partition.route.handler, record) {
        Decoded::Event(job) => delivery.event(job.as_ref()).await?,
        Decoded::Tombstone => How::Skipped,
        Decoded::Unfit(disposition, why) => {
            let end = Ending { disposition, attempts: 0, first_failure: None, failed: &Failed::finally(why) };
            delivery.dead_letter(None, &end).await?;
            How::DeadLettered
        }
    };
    Ok(Settled::new(partition.epoch, record.offset, how))
}

/// One record on its way.
struct Delivery<'a> {
    partition: &'a Partition,
    record: &'a Arc<Record>,
}

/// What a claim led to.
enum Step {
    Settled(How),
    /// The claim is gone: ask for it again.
    AskAgain,
}

/// How an event ends that cannot be handled.
struct Ending<'a> {
    disposition: Disposition,
    attempts: u32,
    /// Milliseconds since 1970.
    first_failure: Option<i64>,
    failed: &'a Failed,
}

impl Delivery<'_> {
    /// Asks for the claim and does what the answer says, until the event is settled.
    async fn event(&self, job: &dyn Job) -> Result<How, Stopped> {
        let service = &self.partition.route.service;
        let request = self.claim_request(job);
        let mut pause = ASK_AGAIN.0;
        loop {
            let asked = Instant::now();
            let (grant, taken_over) = match service.claims.claim(&request, &self.partition.stop).await? {
                Claim::Won(grant) => (grant, false),
                Claim::TakenOver(grant) => (grant, true),
                Claim::Done | Claim::Dead => return Ok(How::Duplicate),
                Claim::Busy { left } | Claim::BackingOff { left } => {
                    self.wait(left.clamp(ASK_AGAIN.0, pause)).await?;
                    pause = (pause * 2).min(ASK_AGAIN.1);
                    continue;
                }
                Claim::Spent(grant) => {
                    return self.spent(job, &service.claims.hold(&request, grant, asked)).await;
                }
                Claim::Mismatch => return self.mismatch(job).await,
                Claim::Foreign => {
                    service.status.foreign(self.record, request.key.as_str());
                    self.wait(FOREIGN_AGAIN).await?;
                    continue;
                }
            };
            crash_point("after_claim");
            let claimed = service.claims.hold(&request, grant, asked);
            match self.claimed(job, claimed, taken_over).await? {
                Step::Settled(how) => return Ok(how),
                Step::AskAgain => pause = ASK_AGAIN.0,
            }
        }
    }

    /// Runs the handler under a claim, and ends the claim with what came of it.
    async fn claimed(&self, job: &dyn Job, claimed: Claimed, taken_over: bool) -> Result<Step, Stopped> {
        let claims = &self.partition.route.service.claims;
        let ctx = self.context(job, &claimed);
        let attempt = match self.run(job, &ctx, &claimed, taken_over).await {
            Ok(Some(attempt)) => attempt,
            Ok(None) => return Ok(Step::AskAgain),
            Err(Stopped) => {
                // Nothing has run: the next owner need not wait for the lease.
                self.hand_over(&claimed, claimed.grant.attempts, claimed.grant.first_failure_ms).await;
                return Err(Stopped);
            }
        };
        match attempt {
            Attempt::Handled(handled) => {
                crash_point("after_effect");
                claims.complete(&claimed, End::Done, ctx.attempt).await;
                crash_point("after_complete");
                Ok(Step::Settled(self.handled(handled)))
            }
            Attempt::Failed(failed) => self.failed(job, claimed, ctx.attempt, &failed).await,
        }
    }

    /// Waits for a place and runs the handler once. `None`: by then the claim was no longer certain.
    async fn run(
        &self,
        job: &dyn Job,
        ctx: &Context,
        claimed: &Claimed,
        taken_over: bool,
    ) -> Result<Option<Attempt>, Stopped> {
        let route = &self.partition.route;
        let service = &route.service;
        let alone = claimed.grant.takeovers >= TAKEOVERS_BEFORE_ALONE;
        let _place = self.unless_stopped(service.capacity.place(self.partition.epoch)).await?;
        let _stay = self.unless_stopped(service.crowd.enter(alone)).await?;
        if alone {
            service.claims.mark_alone(claimed, &self.partition.stop).await?;
        }
        if self.partition.stop.is_cancelled() {
            return Err(Stopped);
        }
        if !claimed.is_certain() {
            return Ok(None);
        }
        let limit = route.settings.timeout;
        if taken_over {
            match was_applied(job, ctx, limit).await {
                Ok(true) => return Ok(Some(Attempt::Handled(Handled::Done))),
                Ok(false) => {}
                Err(failed) => return Ok(Some(Attempt::Failed(failed))),
            }
        }
        Ok(Some(attempt(job, ctx, limit, &route.metrics).await))
    }

    /// After a failed attempt: later again, or never.
    async fn failed(
        &self,
        job: &dyn Job,
        claimed: Claimed,
        attempts: u32,
        failed: &Failed,
    ) -> Result<Step, Stopped> {
        let route = &self.partition.route;
        let now = millis(SystemTime::now());
        let first_failure = claimed.grant.first_failure_ms.unwrap_or(now);
        let since_first = Duration::from_millis(u64::try_from(now - first_failure).unwrap_or(0));
        let verdict = route.settings.retry.verdict(attempts, since_first, failed.after, rand::random());
        route.service.status.attempt_failed(self.record, route.handler.name(), job.key(), attempts, failed);
        if !claimed.is_certain() {
            // Somebody else may have the event by now; what becomes of it there is what counts.
            return Ok(Step::AskAgain);
        }
        if let (true, retry::Verdict::Again(delay)) = (failed.retryable, verdict) {
            let claims = &route.service.claims;
            claims.release(&claimed, delay, attempts, Some(first_failure), &self.partition.stop).await?;
            drop(claimed);
            crash_point("in_backoff");
            self.wait(delay).await?;
            return Ok(Step::AskAgain);
        }
        let disposition = if failed.retryable { Disposition::Exhausted } else { Disposition::Rejected };
        let end = Ending { disposition, attempts, first_failure: Some(first_failure), failed };
        if self.dead_letter(Some(job), &end).await.is_err() {
            self.hand_over(&claimed, attempts, Some(first_failure)).await;
            return Err(Stopped);
        }
        crash_point("after_dead_letter");
        route.service.claims.complete(&claimed, End::Dead, attempts).await;
        Ok(Step::Settled(How::DeadLettered))
    }

    /// The event has killed its worker again and again while it ran alone: it does not run once more.
    async fn spent(&self, job: &dyn Job, claimed: &Claimed) -> Result<How, Stopped> {
        let Grant { attempts, first_failure_ms: first_failure, takeovers, .. } = claimed.grant;
        let why = format!(
            "{takeovers} workers died while they handled it, the last ones with nothing else in flight"
        );
        let failed = Failed::finally(why);
        let end = Ending { disposition: Disposition::Exhausted, attempts, first_failure, failed: &failed };
        // If this is stopped the lease stands, and the next owner is told the same.
        self.dead_letter(Some(job), &end).await?;
        self.partition.route.service.claims.complete(claimed, End::Dead, attempts).await;
        Ok(How::DeadLettered)
    }

    async fn mismatch(&self, job: &dyn Job) -> Result<How, Stopped> {
        let failed = Failed::finally("the same dedupe key came before with another fingerprint");
        let end =
            Ending { disposition: Disposition::Mismatch, attempts: 0, first_failure: None, failed: &failed };
        self.dead_letter(Some(job), &end).await?;
        Ok(How::DeadLettered)
    }

    /// Sends the dead letter until the broker has it, or until the partition is told to stop.
    async fn dead_letter(&self, job: Option<&dyn Job>, end: &Ending<'_>) -> Result<(), Stopped> {
        let route = &self.partition.route;
        let verdict = Verdict {
            group: &route.service.group,
            handler: route.handler.name(),
            dedupe_key: job.map(|job| job.key().as_str()),
            disposition: end.disposition,
            attempts: end.attempts,
            first_failure: end.first_failure,
            failed: end.failed,
        };
        let mut letter = letter(self.record, &verdict, SystemTime::now());
        let mut disposition = end.disposition;
        let mut pause = SEND_AGAIN.0;
        loop {
            match route.service.dead_letters.send(&letter).await {
                Ok(()) => break,
                Err(LetterError::TooLarge(_)) if disposition != Disposition::TooLarge => {
                    disposition = Disposition::TooLarge;
                    letter = letter.without_content();
                    continue;
                }
                Err(error) => route.service.status.dead_letter_fault(self.record, &letter.topic, &error),
            }
            self.wait(pause).await?;
            pause = (pause * 2).min(SEND_AGAIN.1);
        }
        route.metrics.dead_letter(disposition);
        route.service.status.dead_lettered(self.record, &verdict, disposition);
        Ok(())
    }

    /// Gives back a claim whose handler does not run, for as long as a worker that stops has time.
    async fn hand_over(&self, claimed: &Claimed, attempts: u32, first_failure: Option<i64>) {
        let claims = &self.partition.route.service.claims;
        let never = tokio_util::sync::CancellationToken::new();
        let release = claims.release(claimed, Duration::ZERO, attempts, first_failure, &never);
        if tokio::time::timeout(HAND_OVER, release).await.is_err() {
            tracing::debug!(
                offset = self.record.offset,
                "a claim could not be given back; its lease ends by itself"
            );
        }
    }

    fn handled(&self, handled: Handled) -> How {
        match handled {
            Handled::Done => How::Done,
            Handled::Skipped(why) => {
                tracing::debug!(topic = %self.record.topic, partition = self.record.partition, offset = self.record.offset, %why, "skipped");
                How::Skipped
            }
        }
    }

    fn claim_request(&self, job: &dyn Job) -> ClaimRequest {
        let Partition { route, epoch, .. } = self.partition;
        let (service, record) = (&route.service, self.record);
        ClaimRequest {
            key: StoreKey::new(&service.prefix, &service.group, route.handler.name(), job.key().as_str()),
            owner: service.owners.delivery(*epoch, &record.topic, record.partition, record.offset),
            lease: route.settings.lease,
            retention: route.settings.ttl,
            max_deliveries: route.settings.max_deliveries,
            fingerprint: job.fingerprint().map(crate::Fingerprint::get),
        }
    }

    fn context(&self, job: &dyn Job, claimed: &Claimed) -> Context {
        let route = &self.partition.route;
        Context {
            record: Arc::clone(self.record),
            idempotency_key: format!("{}.{}:{}", route.service.group, route.handler.name(), job.key()).into(),
            fencing_token: claimed.grant.token,
            attempt: claimed.grant.attempts + 1,
            cancelled: claimed.cancelled().clone(),
        }
    }

    async fn wait(&self, time: Duration) -> Result<(), Stopped> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.partition.stop.cancelled() => Err(Stopped),
            done = work => Ok(done),
        }
    }
}
