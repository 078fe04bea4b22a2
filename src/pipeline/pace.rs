//! So many a second, one after the other.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Gives out turns. Those that nobody took are gone: after an outage there is nothing to make up for.
#[derive(Debug)]
pub(crate) struct Pace {
    gap: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// So many a second; 0 counts as 1.
    pub(crate) fn of(rate: u32) -> Self {
        Self { gap: Duration::from_secs(1) / rate.max(1), next: Instant::now().into() }
    }

    /// Waits for the next turn.
    pub(crate) async fn turn(&self) {
        tokio::time::sleep_until(self.book(Instant::now())).await;
    }

    fn book(&self, now: Instant) -> Instant {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = now.max(*next);
        *next = turn + self.gap;
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_apart_and_those_nobody_took_are_gone() {
        let pace = Pace::of(20);
        let began = Instant::now();
        for _ in 0..41 {
            pace.turn().await;
        }
        assert_eq!(began.elapsed().as_millis(), 2_000);
        tokio::time::advance(Duration::from_secs(600)).await;
        let back = Instant::now();
        for _ in 0..21 {
            pace.turn().await;
        }
        assert_eq!(back.elapsed().as_millis(), 1_000);
    }
}
