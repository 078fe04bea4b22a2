//! So many a second: a bucket of tokens that fills by itself. Arithmetic only; times are counted from any moment that stays
//! the same.

use std::time::Duration;

/// What nobody took may be taken later, as much as comes within this time: waking up takes a moment, too.
const BURST: Duration = Duration::from_millis(100);

/// A bucket, and when its next token comes.
#[derive(Debug)]
pub(crate) struct Rate {
    gap: Duration,
    next: Duration,
}

impl Rate {
    /// So many a second; 0 counts as 1.
    pub(crate) fn of(rate: u32) -> Self {
        Self { gap: Duration::from_secs(1) / rate.max(1), next: Duration::ZERO }
    }

    /// When there is a token: a time that has come if there is one now.
    pub(crate) fn next(&self) -> Duration {
        self.next
    }

    /// Takes a token that is there.
    pub(crate) fn take(&mut self, now: Duration) {
        self.next = self.next.max(now.saturating_sub(BURST)) + self.gap;
    }

    /// Puts one back that was not used.
    pub(crate) fn give_back(&mut self) {
        self.next = self.next.saturating_sub(self.gap);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(rate: &mut Rate, from: u64, to: u64) -> usize {
        let mut taken = 0;
        for now in (from..to).map(Duration::from_millis) {
            while rate.next() <= now {
                rate.take(now);
                taken += 1;
            }
        }
        taken
    }

    #[test]
    fn no_more_than_the_rate_and_what_nobody_took_is_soon_gone() {
        let mut rate = Rate::of(50);
        assert_eq!(taken(&mut rate, 0, 1_000), 50);
        // A minute later there are no more than those of a moment to make up for.
        assert_eq!(taken(&mut rate, 60_000, 61_000), 50 + 5);
        let mut slow = Rate::of(2);
        assert_eq!(taken(&mut slow, 0, 10_000), 20);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let mut rate = Rate::of(1);
        rate.take(Duration::from_secs(5));
        assert!(rate.next() > Duration::from_secs(5));
        rate.give_back();
        assert!(rate.next() <= Duration::from_secs(5));
    }
}
