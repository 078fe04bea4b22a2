use std::time::{Duration, SystemTime};

use tokio::time::Instant;

/// Three centuries: far beyond any retention, and far below where the numbers of Lua or Redis lose precision.
const LONGEST_MS: u64 = 10_000_000_000_000;

/// Whole milliseconds, rounded up, because a lease must not become shorter than asked for.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(LONGEST_MS).min(LONGEST_MS)
}

/// Wall time.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Clock {
    /// The machine's, which all pods share more or less.
    System,
    /// What advances from this time on with tokio's clock, so that tests with paused time can move it.
    Tokio(SystemTime, Instant),
}

impl Clock {
    pub(crate) fn of_tokio() -> Self {
        Self::of_tokio_from(SystemTime::now())
    }

    /// It is `time` now, and goes on with tokio's clock.
    pub(crate) fn of_tokio_from(time: SystemTime) -> Self {
        Self::Tokio(time, Instant::now())
    }

    pub(crate) fn now(&self) -> SystemTime {
        match self {
            Self::System => SystemTime::now(),
            Self::Tokio(began, instant) => *began + instant.elapsed(),
        }
    }

    /// Microseconds since 1970.
    pub(crate) fn now_us(&self) -> u64 {
        let since_1970 = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_1970.as_micros()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_up_and_stay_in_bounds() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::from_millis(10)), 10);
        assert_eq!(millis(Duration::MAX), LONGEST_MS);
    }
}
