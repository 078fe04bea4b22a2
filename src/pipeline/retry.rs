//! When to try again. Arithmetic only: no clock is read, nothing sleeps, chance is passed in.

use std::time::Duration;

use super::delays::Delays;

/// How failures are retried: exponential delays with full jitter under a cap, an attempt limit and a total
/// time budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first included. At least 1.
    pub max_attempts: u32,
    /// The longest delay after the first failure; doubles with each further one.
    pub initial_delay: Duration,
    /// The longest delay at all.
    pub max_delay: Duration,
    /// After the first failure, no attempt is planned for later than this. One that waited for a worker or for the store
    /// still begins, since a fault never dead-letters.
    pub budget: Duration,
    /// Where events wait that are tried later: one by one for each further attempt, the last for all that follow. Whatever
    /// waits at least as long as the first of them leaves its lane: a copy of it waits in a topic of that delay, and
    /// neither its key nor its partition waits with it. Empty, and every event waits where it is.
    pub later: Delays,
    /// After so many attempts in its lane an event is tried later, where `later` says so. At least 1.
    pub in_place: u32,
    /// Where no event of its handler has been answered since an event's first failure, its attempts are not spent before
    /// this time, however many they are: whatever the handler needs may be away. Zero, and their number ends them.
    pub at_least: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 5,
            initial_delay: Duration::from_millis(200),
            max_delay: Duration::from_secs(30),
            budget: Duration::from_secs(15 * 60),
            later: Delays::NONE,
            in_place: 1,
            at_least: Duration::ZERO,
        }
    }
}

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this long.
    Again(Duration),
    /// Try again after this long, and out of the way until then.
    Later(Duration),
    /// The attempts are spent.
    AttemptsSpent,
    /// The next attempt would begin after the time budget.
    BudgetSpent,
}

impl Verdict {
    /// Until the next attempt, if there is one.
    pub(super) fn delay(self) -> Option<Duration> {
        match self {
            Self::Again(delay) | Self::Later(delay) => Some(delay),
            Self::AttemptsSpent | Self::BudgetSpent => None,
        }
    }

    /// Whether there is no further attempt.
    pub(super) fn is_end(self) -> bool {
        self.delay().is_none()
    }
}

impl RetryPolicy {
    /// What follows the failed attempt number `attempt` (from 1), `since_first` after the first failure, when
    /// the handler asked for `after`; `chance` in `0.0..1.0` draws the jitter.
    #[must_use]
    pub fn verdict(
        &self,
        attempt: u32,
        since_first: Duration,
        after: Option<Duration>,
        chance: f64,
    ) -> Verdict {
        if attempt >= self.max_attempts {
            return Verdict::AttemptsSpent;
        }
        let planned = attempt.checked_sub(self.in_place.max(1)).and_then(|times| self.later.nth(times));
        let delay = planned.map_or_else(
            || self.delay(attempt, after, chance),
            |planned| after.map_or(planned, |asked| asked.max(planned)),
        );
        if since_first.saturating_add(delay) > self.budget {
            return Verdict::BudgetSpent;
        }
        match self.later.shortest() {
            Some(shortest) if delay >= shortest => Verdict::Later(delay),
            _ => Verdict::Again(delay),
        }
    }

    /// The same for an event whose attempts are spent, while no other of its handler is answered. What
    /// [`at_least`](Self::at_least) leaves is used to its end; what the handler asks for counts beside the budget alone.
    #[must_use]
    pub fn while_silent(
        &self,
        attempt: u32,
        since_first: Duration,
        after: Option<Duration>,
        chance: f64,
    ) -> Verdict {
        let left = self.at_least.saturating_sub(since_first);
        if left.is_zero() {
            return Verdict::AttemptsSpent;
        }
        let patient = Self { max_attempts: u32::MAX, max_delay: self.max_delay.min(left), ..*self };
        match patient.verdict(attempt, since_first, after, chance) {
            // Where no delay of `later` fits into what is left, it waits in its lane.
            Verdict::BudgetSpent => {
                Self { later: Delays::NONE, ..patient }.verdict(attempt, since_first, after, chance)
            }
            verdict => verdict,
        }
    }

    /// The delay after the failed attempt number `attempt`, when the handler asked for `after`.
    #[must_use]
    pub fn delay(&self, attempt: u32, after: Option<Duration>, chance: f64) -> Duration {
        let jittered = self.ceiling(attempt).mul_f64(chance.clamp(0.0, 1.0));
        after.map_or(jittered, |asked| asked.max(jittered))
    }

    /// The longest delay that may follow attempt number `attempt`.
    #[must_use]
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let doublings = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.initial_delay.saturating_mul(doublings).min(self.max_delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        max_attempts: 4,
        initial_delay: Duration::from_secs(1),
        max_delay: Duration::from_secs(3),
        budget: Duration::from_secs(60),
        later: Delays::NONE,
        in_place: 1,
        at_least: Duration::ZERO,
    };
    const NOW: Duration = Duration::ZERO;

    #[test]
    fn delays_double_up_to_the_cap() {
        let seconds: Vec<_> = (1..=4).map(|attempt| POLICY.ceiling(attempt).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 3, 3]);
        assert_eq!(POLICY.ceiling(u32::MAX), POLICY.max_delay, "no overflow");
    }

    #[test]
    fn jitter_is_full() {
        assert_eq!(POLICY.verdict(2, NOW, None, 0.0), Verdict::Again(Duration::ZERO));
        assert_eq!(POLICY.verdict(2, NOW, None, 0.25), Verdict::Again(Duration::from_millis(500)));
        assert_eq!(POLICY.verdict(2, NOW, None, 1.0), Verdict::Again(Duration::from_secs(2)));
    }

    #[test]
    fn asking_twice_gives_the_same_delay() {
        assert_eq!(POLICY.verdict(1, NOW, None, 0.5), POLICY.verdict(1, NOW, None, 0.5));
    }

    #[test]
    fn the_handlers_own_delay_is_kept_even_beyond_the_cap() {
        let asked = Some(Duration::from_secs(10));
        assert_eq!(POLICY.verdict(1, NOW, asked, 1.0), Verdict::Again(Duration::from_secs(10)));
    }

    #[test]
    fn what_waits_for_long_leaves_its_lane() {
        let minute = |minutes: u64| Duration::from_secs(60 * minutes);
        let later = Delays::of(&[minute(1), minute(10)]).unwrap();
        let policy = RetryPolicy { max_attempts: 9, budget: minute(100), later, in_place: 2, ..POLICY };
        assert_eq!(policy.verdict(1, NOW, None, 1.0), Verdict::Again(Duration::from_secs(1)));
        assert_eq!(policy.verdict(2, NOW, None, 1.0), Verdict::Later(minute(1)));
        assert_eq!(policy.verdict(3, NOW, None, 1.0), Verdict::Later(minute(10)));
        assert_eq!(policy.verdict(8, NOW, None, 1.0), Verdict::Later(minute(10)));
        assert_eq!(policy.verdict(9, NOW, None, 1.0), Verdict::AttemptsSpent);
        assert_eq!(policy.verdict(3, minute(91), None, 1.0), Verdict::BudgetSpent);
        // What the handler asks for counts where it is longer.
        assert_eq!(policy.verdict(1, NOW, Some(minute(3)), 0.0), Verdict::Later(minute(3)));
        assert_eq!(policy.verdict(2, NOW, Some(Duration::ZERO), 0.0), Verdict::Later(minute(1)));
    }

    #[test]
    fn while_nobody_is_answered_attempts_go_on_to_the_end_of_their_time() {
        let policy = RetryPolicy { at_least: Duration::from_secs(40), ..POLICY };
        let silent = |seconds, after| policy.while_silent(9, Duration::from_secs(seconds), after, 1.0);
        assert_eq!(silent(0, None), Verdict::Again(POLICY.max_delay));
        assert_eq!(silent(39, None), Verdict::Again(Duration::from_secs(1)), "one at the very end");
        assert_eq!(silent(40, None), Verdict::AttemptsSpent);
        assert_eq!(silent(39, Some(Duration::from_secs(21))), Verdict::Again(Duration::from_secs(21)));
        assert_eq!(silent(39, Some(Duration::from_secs(22))), Verdict::BudgetSpent);
        assert_eq!(policy.verdict(9, NOW, None, 1.0), Verdict::AttemptsSpent, "if somebody is answered");
        assert_eq!(POLICY.while_silent(9, NOW, None, 1.0), Verdict::AttemptsSpent, "unless it is asked for");
    }

    #[test]
    fn what_no_later_delay_fits_into_is_used_in_the_lane() {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        let later = Delays::of(&[minutes(10)]).unwrap();
        let policy = RetryPolicy { later, budget: minutes(15), at_least: minutes(15), ..POLICY };
        assert_eq!(policy.while_silent(1, NOW, None, 1.0), Verdict::Later(minutes(10)));
        assert_eq!(policy.while_silent(2, minutes(10), None, 1.0), Verdict::Again(Duration::from_secs(2)));
        assert_eq!(policy.while_silent(2, minutes(15), None, 1.0), Verdict::AttemptsSpent);
        assert_eq!(policy.while_silent(2, minutes(10), Some(minutes(6)), 1.0), Verdict::BudgetSpent);
    }

    #[test]
    fn attempts_and_budget_end_it() {
        assert_eq!(POLICY.verdict(3, NOW, None, 0.5), Verdict::Again(Duration::from_millis(1500)));
        assert_eq!(POLICY.verdict(4, NOW, None, 0.5), Verdict::AttemptsSpent);
        assert_eq!(POLICY.verdict(1, Duration::from_secs(60), None, 1.0), Verdict::BudgetSpent);
        assert_eq!(POLICY.verdict(1, NOW, Some(Duration::from_secs(61)), 0.0), Verdict::BudgetSpent);
    }
}
