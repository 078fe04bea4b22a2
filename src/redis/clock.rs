//! The server's clock, as far as one connection knows it: between two bounds, which every answer narrows and time
//! widens. Pure.

use std::time::{Duration, Instant};

/// Two clocks drift apart by less than one part in so many, unless one of them is set.
const DRIFT: u64 = 4_096;
/// A step of the clock that is too small to matter.
const TOLERANCE_US: u64 = 5_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct ServerClock {
    least: Bound,
    most: Bound,
}

/// What the clock showed, in microseconds since 1970, at one moment here.
#[derive(Debug, Clone, Copy)]
struct Bound {
    us: u64,
    at: Instant,
}

impl ServerClock {
    /// The server said this between these two moments.
    pub(super) fn new(said_us: u64, sent: Instant, received: Instant) -> Self {
        Self { least: Bound { us: said_us, at: received }, most: Bound { us: said_us, at: sent } }
    }

    /// It shows at least this by now.
    pub(super) fn at_least_us(&self, now: Instant) -> u64 {
        let passed = micros(now.saturating_duration_since(self.least.at));
        self.least.us + passed - passed / DRIFT
    }

    /// It does not show more than this by now.
    pub(super) fn at_most_us(&self, now: Instant) -> u64 {
        let passed = micros(now.saturating_duration_since(self.most.at));
        self.most.us + passed + passed / DRIFT
    }

    /// By how many seconds what the server said between these two moments is off what it should have: how far one of
    /// the clocks was set, ahead or back. None where it is less than a second.
    pub(super) fn step(&self, said_us: u64, sent: Instant, received: Instant) -> Option<i64> {
        let (earliest, latest) = (self.at_least_us(sent), self.at_most_us(received));
        let seconds = |us: u64| i64::try_from(us / 1_000_000).unwrap_or(i64::MAX);
        let off = seconds(said_us.saturating_sub(latest)) - seconds(earliest.saturating_sub(said_us));
        (off != 0).then_some(off)
    }

    /// Takes in what the server said between these two moments. False when it cannot be: one of the clocks was set,
    /// or stood still, and what it said before is worth nothing any more.
    pub(super) fn learn(&mut self, said_us: u64, sent: Instant, received: Instant) -> bool {
        let (earliest, latest) = (self.at_least_us(sent), self.at_most_us(received));
        let fits = (earliest.saturating_sub(TOLERANCE_US)..=latest + TOLERANCE_US).contains(&said_us);
        let said = Self::new(said_us, sent, received);
        if !fits || said.at_least_us(received) >= self.at_least_us(received) {
            self.least = said.least;
        }
        if !fits || said.at_most_us(received) <= self.at_most_us(received) {
            self.most = said.most;
        }
        fits
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000_000;

    fn after(began: Instant, ms: u64) -> Instant {
        began + Duration::from_millis(ms)
    }

    #[test]
    fn it_is_known_as_well_as_an_answer_was_fast_and_worse_as_time_passes() {
        let began = Instant::now();
        let clock = ServerClock::new(100 * US, began, after(began, 1_000));
        let now = after(began, 1_000);
        assert_eq!((clock.at_least_us(now), clock.at_most_us(now)), (100 * US, 101 * US + US / DRIFT));
        let now = after(began, 4_096_000 + 1_000);
        assert_eq!(clock.at_least_us(now), 100 * US + 4_096 * US - US);
    }

    #[test]
    fn a_slow_answer_does_not_spoil_what_a_fast_one_said() {
        let began = Instant::now();
        let mut clock = ServerClock::new(100 * US, began, after(began, 1));
        assert!(clock.learn(102 * US, after(began, 1_000), after(began, 9_000)));
        let now = after(began, 9_000);
        assert!(clock.at_least_us(now) > 109 * US - 10_000, "{clock:?}");
        assert!(clock.at_most_us(now) < 109 * US + 10_000, "{clock:?}");
        // A fast one makes up for the time between.
        assert!(clock.learn(109 * US, now, now));
        assert_eq!((clock.at_least_us(now), clock.at_most_us(now)), (109 * US, 109 * US));
    }

    #[test]
    fn how_far_a_clock_was_set_is_known() {
        let began = Instant::now();
        let clock = ServerClock::new(100 * US, began, began);
        let (sent, received) = (after(began, 10_000), after(began, 14_000));
        for (said, step) in [(110, None), (114, None), (109, None), (3_714, Some(3_599)), (10, Some(-99))] {
            assert_eq!(clock.step(said * US, sent, received), step, "{said}");
        }
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_and_believed() {
        let began = Instant::now();
        let (sent, received) = (after(began, 10_000), after(began, 11_000));
        for (said_ms, fits) in [
            (109_900, false),
            (109_999, true),
            (110_500, true),
            (111_001, true),
            (111_100, false),
            (3_710_000, false),
        ] {
            let mut clock = ServerClock::new(100 * US, began, began);
            assert_eq!(clock.learn(said_ms * 1_000, sent, received), fits, "{said_ms}");
            assert!(clock.at_most_us(received) - clock.at_least_us(received) < 1_100_000, "{clock:?}");
        }
    }
}
