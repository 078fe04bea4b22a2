//! What an event's failures are worth: those of an outage are not its own.
//!
//! Nobody can tell the first failures of an outage from those of an event that cannot be handled. So an event's attempts
//! count as ever until its handler's breaker opens, or the last of them is spent: where nobody has had an answer since its
//! first failure, and others have failed beside it, that is what opens the breaker. What fails then does not count, and what
//! waits behind an open breaker begins anew.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    breaker::Seen,
    dead_letter::millis,
    decode::Event,
    dedupe::{Back, Stopped},
    delivery::Delivery,
    failure::Failed,
    pass::Pass,
    retry::RetryPolicy,
    status::age_at,
};
use crate::store::Grant;

/// What this task has seen of its event's failures.
#[derive(Debug, Default)]
pub(super) struct Failures {
    /// When it saw the first one, if it was the first of all.
    pub(super) first: Option<Instant>,
    /// What had happened to the handler before the first one that was seen here.
    before: Option<Seen>,
    own: u64,
    /// It has waited behind an open breaker: what was before does not count.
    are_forgiven: bool,
    had_a_last_chance: bool,
}

impl Failures {
    /// How many attempts count, of those that the store knows of.
    pub(super) fn counted(&self, attempts: u32, policy: &RetryPolicy) -> u32 {
        // One always does: that it was tried must not be forgotten, for it may have taken effect.
        if self.are_forgiven { attempts.min(1).min(policy.max_attempts.saturating_sub(1)) } else { attempts }
    }

    /// Counts a failure: when the first of those that count was, as the store knows it, and how many they are.
    pub(super) fn count(&mut self, grant: &Grant, policy: &RetryPolicy) -> (Option<i64>, u32) {
        let first = grant.first_failure_ms.filter(|_| !self.are_forgiven);
        let counted = self.counted(grant.attempts, policy).saturating_add(1);
        self.are_forgiven = false;
        (first, counted)
    }

    /// Gives the event back as if it had not failed.
    pub(super) fn anew(
        &mut self,
        policy: &RetryPolicy,
        after: Option<Duration>,
        chance: f64,
        in_doubt: bool,
    ) -> Back {
        self.forgive();
        let attempts = self.counted(u32::MAX, policy);
        let delay = policy.delay(1, after, chance);
        Back { delay, attempts, first_failure_ms: None, in_doubt: in_doubt || attempts == 0 }
    }

    fn forgive(&mut self) {
        let Self { had_a_last_chance, .. } = *self;
        *self = Self { are_forgiven: true, had_a_last_chance, ..Self::default() };
    }
}

impl Delivery<'_> {
    /// Waits until an attempt may be made. Nothing is claimed meanwhile.
    pub(super) async fn pass(&self, event: &Event, failures: &mut Failures) -> Result<Pass, Stopped> {
        let delay = self.first_delay(event);
        if !delay.is_zero() {
            self.partition.wait(delay).await?;
        }
        let gate = &event.route.gate;
        let is_shut = gate.excuses();
        let pass = self.partition.unless_stopped(gate.pass()).await?;
        if is_shut {
            failures.forgive();
        }
        Ok(pass)
    }

    /// Whether its first attempt may begin now, as far as anybody can tell without asking.
    pub(super) fn may_pass(&self, event: &Event) -> bool {
        let is_due =
            || event.sent_on.is_none() || event.not_due_for(millis(self.service().clock.now())).is_none();
        event.route.gate.is_open() && self.first_delay(event).is_zero() && is_due()
    }

    /// What is left of the time that a record has to wait for its first attempt.
    fn first_delay(&self, event: &Event) -> Duration {
        let delay = event.route.settings.first_delay;
        match self.record.timestamp.filter(|_| event.sent_on.is_none()) {
            Some(then) if !delay.is_zero() => {
                delay.saturating_sub(age_at(millis(self.service().clock.now()), then))
            }
            _ => Duration::ZERO,
        }
    }

    /// The attempts of an event are spent, and it comes without a letter, which whoever made them could not write. Whether
    /// it is tried all the same.
    pub(super) fn may_go_on(&self, event: &Event, grant: &mut Grant, failures: &Failures) -> bool {
        let policy = &event.route.settings.retry;
        // What has failed here since counts.
        let is_back = event.sent_on.is_some() && self.partition.topic.delay.is_none() && failures.own == 0;
        if is_back {
            // A person has sent it back since: its attempts begin anew, but that it was tried must not be forgotten.
            grant.attempts = policy.max_attempts.saturating_sub(1).min(1);
            grant.first_failure_ms = None;
        }
        // Where nobody is answered there may be any number of them, so it does not tell that they are spent.
        is_back || !policy.at_least.is_zero()
    }

    /// Takes note of a failed attempt. Whether it is to be blamed on an outage.
    pub(super) fn note_failure(
        &self,
        event: &Event,
        failed: &Failed,
        pass: Pass,
        digest: u128,
        failures: &mut Failures,
    ) -> bool {
        let gate = &event.route.gate;
        if !failed.retryable {
            gate.answered(pass, Some(digest), Instant::now());
            return false;
        }
        failures.before.get_or_insert_with(|| gate.seen());
        failures.own += 1;
        gate.failed(pass, digest);
        gate.excuses()
    }

    /// The attempts of an event are spent, of which so many count. Whether it may have another one all the same: because of an outage, or because
    /// this process has seen too little of it to tell, and other events are on their way that will.
    pub(super) fn has_another_chance(
        &self,
        event: &Event,
        digest: u128,
        counted: u32,
        failures: &mut Failures,
    ) -> bool {
        let Some(before) = failures.before else { return false };
        if event.route.gate.excuses_spent(before) {
            return true;
        }
        let has_seen_all = failures.first.is_some() && failures.own >= counted.into();
        let gate = &event.route.gate;
        let is_dry = gate.seen().answers == before.answers;
        let has_company = gate.has_company(digest) || self.partition.at_work.len() > 1;
        let last = !has_seen_all && is_dry && has_company && !failures.had_a_last_chance;
        failures.had_a_last_chance |= last;
        last
    }
}
