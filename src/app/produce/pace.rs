//! So many records a second, evenly.

use std::{str::FromStr, time::Duration};

use tokio::time::Instant;

/// How far sending may fall behind and still catch up. Timers are late by a millisecond or two, which must not lower
/// the rate; a broker that was away must not be met by all that was due meanwhile.
const SLACK: Duration = Duration::from_millis(20);

/// Records a second, above 0 and up to a million.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::app) struct Rate(f64);

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix("/s").unwrap_or(text).trim();
        let rate = number.parse().ok().filter(|rate: &f64| *rate >= 0.001 && *rate <= 1_000_000.0);
        rate.map(Self).ok_or_else(|| {
            "allowed are records a second, from 0.001 to 1000000, such as 500/s or 500".to_owned()
        })
    }
}

/// When the next record is due.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Duration,
    due: Instant,
}

impl Pace {
    pub(super) fn new(Rate(rate): Rate, now: Instant) -> Self {
        Self { gap: Duration::from_secs_f64(1.0 / rate), due: now }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// One was sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.due += self.gap;
        if let Some(earliest) = now.checked_sub(SLACK) {
            self.due = self.due.max(earliest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_is_a_number_with_or_without_its_unit() {
        for (text, rate) in [("500/s", 500.0), ("500", 500.0), ("0.5/s", 0.5), ("12 /s", 12.0)] {
            assert_eq!(text.parse(), Ok(Rate(rate)), "{text}");
        }
        for text in ["", "/s", "0", "-1", "NaN", "inf", "500/m", "1e9", "fast"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn so_many_are_due_in_a_second_although_timers_are_late() {
        let start = Instant::now();
        let mut pace = Pace::new(Rate(5_000.0), start);
        let (mut now, mut sent) = (start, 0);
        while now < start + SECOND {
            // Whoever sleeps wakes up at the next millisecond.
            now = now.max(pace.due()) + Duration::from_millis(1);
            while pace.due() <= now {
                pace.sent(now);
                sent += 1;
            }
        }
        assert!((4_950..=5_050).contains(&sent), "{sent}");
    }

    #[test]
    fn what_was_held_up_is_not_made_up_for_in_a_burst() {
        let start = Instant::now();
        let mut pace = Pace::new(Rate(1_000.0), start);
        pace.sent(start);
        let late = start + 60 * SECOND;
        let mut burst = 0;
        while pace.due() <= late {
            pace.sent(late);
            burst += 1;
        }
        assert!(burst <= 25, "{burst}");
    }
}
