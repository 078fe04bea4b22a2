//! `[retry]`: what the operator says about retries, over what the handler says.

use std::time::Duration;

use crate::config::{Reader, units};
use crate::{Delays, RetryPolicy};

/// What configuration says about retries; where it is silent, the handler's own policy counts. The same under
/// `[services.NAME.retry]` and `[services.NAME.handlers.HANDLER.retry]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetryOverrides {
    /// Attempts in all, the first included.
    pub max_attempts: Option<u32>,
    /// The longest delay after the first failure.
    pub initial_delay: Option<Duration>,
    /// The longest delay at all.
    pub max_delay: Option<Duration>,
    /// After the first failure, no attempt is planned for later than this. One that waited for a worker or for the store
    /// still begins, since a fault never dead-letters.
    pub budget: Option<Duration>,
    /// Where events wait that are tried later, out of their lanes; none keeps all of them there.
    pub later: Option<Delays>,
    /// After so many attempts in its lane an event is tried later.
    pub in_place: Option<u32>,
    /// While its handler is not answered, an event's attempts are not spent before so long after its first failure.
    pub at_least: Option<Duration>,
}

impl RetryOverrides {
    /// The policy that counts: what is said here, and the handler's own for the rest.
    #[must_use]
    pub fn over(&self, own: RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            max_attempts: self.max_attempts.unwrap_or(own.max_attempts),
            initial_delay: self.initial_delay.unwrap_or(own.initial_delay),
            max_delay: self.max_delay.unwrap_or(own.max_delay),
            budget: self.budget.unwrap_or(own.budget),
            later: self.later.unwrap_or(own.later),
            in_place: self.in_place.unwrap_or(own.in_place),
            // A budget that is configured is not too short for a time that only the handler speaks of.
            at_least: self.at_least.unwrap_or(own.at_least.min(self.budget.unwrap_or(own.at_least))),
        }
    }

    /// Reads a section; what it does not say is as in `base`.
    pub(super) fn read(reader: &mut Reader, section: &str, base: &Self) -> Self {
        let key = |name: &str| format!("{section}.{name}");
        let in_place = reader.optional_integer_in(&key("in_place"), 1..=1_000_000);
        let at_least = at_least(reader, &key("at_least"));
        let attempts = reader.optional_integer_in(&key("max_attempts"), 1..=1_000_000);
        Self {
            max_attempts: attempts.or(base.max_attempts),
            initial_delay: reader.optional_duration(&key("initial_delay")).or(base.initial_delay),
            max_delay: reader.optional_duration(&key("max_delay")).or(base.max_delay),
            budget: reader.optional_duration(&key("budget")).or(base.budget),
            later: reader.optional_delays(&key("later")).or(base.later),
            in_place: in_place.or(base.in_place),
            at_least: at_least.or(base.at_least),
        }
    }
}

/// Zero is a word of its own: it takes back what a wider section says, or the handler.
fn at_least(reader: &mut Reader, key: &str) -> Option<Duration> {
    let allowed = "a duration from 1ms to ten years, such as \"10m\", or \"off\"";
    reader.optional_parsed(key, allowed, |text| match text.trim() {
        "off" => Some(Duration::ZERO),
        text => units::duration(text),
    })
}
