//! After a failed attempt: again, later again, or never.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    dead_letter::{Disposition, millis},
    decode::Event,
    dedupe::{Back, Stopped},
    delivery::Delivery,
    ending::Ending,
    failure::Failed,
    held::Claimed,
    outage::Failures,
    pass::Pass,
    retry::Verdict,
    settle::Step,
};
use crate::crash::{crash_point, is_broken};

impl Delivery<'_> {
    /// Gives the claim back for another attempt, sends the event on, or ends it with a letter.
    pub(super) async fn failed(
        &self,
        event: &Event,
        claimed: Claimed,
        failed: &Failed,
        pass: Pass,
        in_doubt: bool,
        failures: &mut Failures,
    ) -> Result<Step, Stopped> {
        let (route, service) = (&event.route, self.service());
        let attempts = claimed.grant.attempts.saturating_add(1);
        service.status.attempt_failed(self.record, route.handler.name(), event.key(), attempts, failed);
        let digest = claimed.key().digest();
        let is_excused = self.note_failure(event, failed, pass, digest, failures);
        let policy = &route.settings.retry;
        let (before, counted) = failures.count(&claimed.grant, policy);
        let now = millis(service.clock.now());
        // Whoever wrote it down may have had another clock: nothing failed in the future.
        let first_failure = before.unwrap_or(now).min(now);
        if before.is_none() {
            failures.first = Some(Instant::now());
        }
        // The time of day may be set meanwhile; it counts only where another process saw the first failure.
        let since_first = match failures.first {
            Some(then) => then.elapsed(),
            None => Duration::from_millis(u64::try_from(now - first_failure).unwrap_or(0)),
        };
        let chance = (service.chance)();
        let mut verdict = policy.verdict(counted, since_first, failed.after, chance);
        if !claimed.is_certain() && !is_broken("unconditional_delete") {
            // Somebody else may have the event by now; what becomes of it there is what counts.
            return Ok(Step::AskAgain(Duration::ZERO));
        }
        let (first_failure, is_spent) = (Some(first_failure), verdict.is_end());
        let back = if !failed.retryable {
            None
        } else if is_excused || is_spent && self.has_another_chance(event, digest, counted, failures) {
            Some(failures.anew(policy, failed.after, chance, in_doubt))
        } else {
            if is_spent && route.gate.is_silent_for(since_first) {
                verdict = policy.while_silent(counted, since_first, failed.after, chance);
            }
            verdict.delay().map(|delay| Back {
                delay,
                attempts: counted,
                first_failure_ms: first_failure,
                in_doubt,
            })
        };
        if let Some(back) = back {
            // Whether an event in doubt took effect is asked before its next attempt, which a copy would not know of.
            let leaves = matches!(verdict, Verdict::Later(_)) && !is_excused && !back.in_doubt;
            if leaves && let Some(how) = self.defer(event, &claimed, back).await? {
                return Ok(Step::Settled(how));
            }
            service.claims.release(&claimed, back, &self.partition.stop).await?;
            drop(claimed);
            crash_point("in_backoff");
            return Ok(Step::AskAgain(back.delay));
        }
        let disposition = if failed.retryable { Disposition::Exhausted } else { Disposition::Rejected };
        let end = Ending { attempts, first_failure, in_doubt, ..Ending::of(disposition, failed) };
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
