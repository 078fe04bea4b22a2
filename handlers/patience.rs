//! How long the shop waits for others.

use std::time::Duration;

use oncewise::RetryPolicy;

/// A database, a mail server or a gateway is away for minutes now and then, and it is no fault of the event: while nobody
/// is answered attempts go on for longer than that, never more than a minute apart, however many they are. An event that
/// fails while others are answered has twenty of them.
pub(crate) fn patience() -> RetryPolicy {
    RetryPolicy {
        max_attempts: 20,
        initial_delay: Duration::from_millis(500),
        max_delay: Duration::from_secs(60),
        budget: Duration::from_secs(15 * 60),
        at_least: Duration::from_secs(12 * 60),
        ..RetryPolicy::default()
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;

    const OUTAGE: Duration = Duration::from_secs(10 * 60);

    /// When the last attempt is made while nobody is answered, from the first failure on.
    fn last_attempt(policy: RetryPolicy, dice: &mut StdRng) -> Duration {
        let mut last = Duration::ZERO;
        for attempt in 1.. {
            let mut delay = policy.delay(attempt, None, dice.random());
            if attempt >= policy.max_attempts {
                delay = delay.min(policy.at_least.saturating_sub(last));
            }
            if delay.is_zero() || last + delay > policy.budget {
                break;
            }
            last += delay;
        }
        last
    }

    #[test]
    fn an_outage_of_ten_minutes_is_outlasted_whatever_the_dice_say() {
        let mut dice = StdRng::seed_from_u64(1);
        let shortest = (0..10_000).map(|_| last_attempt(patience(), &mut dice)).min().unwrap();
        assert!(shortest > OUTAGE, "{shortest:?}");
        assert!(last_attempt(RetryPolicy::default(), &mut dice) < OUTAGE, "which not every policy does");
    }
}
