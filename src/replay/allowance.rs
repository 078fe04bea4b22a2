//! How many records may be read by now. Pure: the present is passed in.

use std::time::{Duration, Instant};

/// So many records a second, and of what was not read no more than of the last second.
#[derive(Debug)]
pub(crate) struct Allowance {
    rate: u32,
    since: Instant,
    /// Read, or given up.
    gone: u64,
}

impl Allowance {
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self { rate, since: now, gone: 0 }
    }

    pub(crate) fn left(&mut self, now: Instant) -> u64 {
        let due = now.saturating_duration_since(self.since).as_millis() * u128::from(self.rate)
            / Duration::from_secs(1).as_millis();
        let due = u64::try_from(due).unwrap_or(u64::MAX);
        self.gone = self.gone.max(due.saturating_sub(u64::from(self.rate)));
        due.saturating_sub(self.gone)
    }

    pub(crate) fn take(&mut self, records: u64) {
        self.gone += records;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_read_in_an_outage_is_not_made_up_for() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let mut allowance = Allowance::new(20, began);
        let mut take_all = |millis| {
            let left = allowance.left(at(millis));
            allowance.take(left);
            left
        };
        assert_eq!([0, 49, 50, 1_000, 1_500].map(&mut take_all), [0, 0, 1, 19, 10]);
        assert_eq!([600_000, 600_100].map(take_all), [20, 2]);
    }
}
