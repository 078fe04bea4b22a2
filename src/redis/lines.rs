//! The connections of the hot path: each call has one to itself, for as long as it lasts.
//!
//! They are not shared between calls as those of the crate are. That saves the task in between, its wake-ups and a
//! queue, and a call that is given up takes nothing with it but its own connection.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::fault::{fault_of, unreachable};
use super::line::Line;
use super::place::Place;
use crate::store::StoreFault;

/// More calls than this at once wait for each other.
const MOST: usize = 16;

#[derive(Debug)]
pub(super) struct Lines {
    place: Place,
    idle: Mutex<Idle>,
    permits: Semaphore,
    /// Held while connecting: callers who come meanwhile share a failure instead of queueing for time-outs.
    connecting: tokio::sync::Mutex<Option<StoreFault>>,
    attempts: AtomicU64,
}

#[derive(Debug, Default)]
struct Idle {
    lines: Vec<Line>,
    /// Where they lead.
    address: String,
    /// Counts how often all lines were given up: one of before does not come back.
    generation: u64,
}

impl Idle {
    /// A line that was made in this generation leads there; its own generation. What is in use and leads elsewhere is
    /// one of before by then: put back it would be used by turns with those that lead here.
    fn lead_to(&mut self, address: String, generation: u64) -> u64 {
        if self.address == address {
            return generation;
        }
        self.generation += 1;
        self.lines.clear();
        self.address = address;
        self.generation
    }
}

impl Lines {
    pub(super) fn new(place: Place) -> Self {
        Self {
            place,
            idle: Mutex::default(),
            permits: Semaphore::new(MOST),
            connecting: tokio::sync::Mutex::default(),
            attempts: AtomicU64::new(0),
        }
    }

    /// Sends what `write` writes and lets `read` read the replies; once more where a new connection was needed, for
    /// an old one may have broken while nobody looked.
    pub(super) async fn ask<W, T>(
        &self,
        mut write: impl FnMut(&mut Line) -> W,
        read: impl FnOnce(&mut Line, W) -> T,
    ) -> Result<T, StoreFault> {
        let patience = self.place.response_timeout();
        let _permit = timeout(patience, self.permits.acquire()).await.map_err(|_| self.silent())?;
        let mut repeated = false;
        loop {
            let (mut line, generation) = self.line().await?;
            line.commands.clear();
            let written = write(&mut line);
            let fault = match timeout(patience, line.exchange()).await {
                Ok(Ok(())) => match line.is_misled() {
                    None => {
                        let answer = read(&mut line, written);
                        self.put_back(line, generation);
                        return Ok(answer);
                    }
                    Some(error) => fault_of(&self.place.address(), error),
                },
                Ok(Err(error)) => unreachable(&self.place.address(), &error),
                Err(_) => {
                    self.give_up(generation);
                    return Err(self.silent());
                }
            };
            self.give_up(generation);
            if std::mem::replace(&mut repeated, true) {
                return Err(fault);
            }
        }
    }

    /// Gives up every line of this generation.
    fn give_up(&self, generation: u64) {
        let mut idle = self.lock();
        if idle.generation == generation {
            tracing::warn!(address = idle.address, "giving up the connections to Redis");
            idle.generation += 1;
            idle.lines.clear();
        }
    }

    async fn line(&self) -> Result<(Line, u64), StoreFault> {
        if let Some(line) = self.idle() {
            return Ok(line);
        }
        let seen = self.attempts.load(Ordering::Acquire);
        let mut last = self.connecting.lock().await;
        if let Some(line) = self.idle() {
            return Ok(line);
        }
        if let Some(fault) = last.as_ref()
            && self.attempts.load(Ordering::Acquire) != seen
        {
            return Err(fault.clone());
        }
        let generation = self.lock().generation;
        let made = timeout(self.place.connect_timeout(), self.connect()).await;
        let made = made.unwrap_or_else(|_| Err(self.place.silent()));
        self.attempts.fetch_add(1, Ordering::AcqRel);
        *last = made.as_ref().err().cloned();
        let (line, address) = made?;
        Ok((line, self.lock().lead_to(address, generation)))
    }

    async fn connect(&self) -> Result<(Line, String), StoreFault> {
        let target = self.place.target().await?;
        Ok((Line::connect(&target, self.place.asks_for_role()).await?, target.address))
    }

    fn put_back(&self, line: Line, generation: u64) {
        let mut idle = self.lock();
        if idle.generation == generation {
            idle.lines.push(line);
        }
    }

    fn idle(&self) -> Option<(Line, u64)> {
        let mut idle = self.lock();
        if !idle.lines.is_empty() && !self.place.is_still(&idle.address) {
            tracing::warn!(
                address = idle.address,
                "the primary is elsewhere; giving up the connections to Redis"
            );
            idle.generation += 1;
            idle.lines.clear();
        }
        idle.lines.pop().map(|line| (line, idle.generation))
    }

    fn silent(&self) -> StoreFault {
        StoreFault::unavailable(format!("Redis at {} did not answer in time", self.place.address()))
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        // Whoever held it has left whole lines behind.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_to_where_the_primary_was_does_not_come_back() {
        let mut idle = Idle::default();
        let old = idle.lead_to("a:1".to_owned(), 0);
        assert_eq!(idle.lead_to("a:1".to_owned(), old), old);
        let new = idle.lead_to("b:1".to_owned(), old);
        assert_ne!(old, new);
        assert_eq!(new, idle.generation);
        // One that was made before all were given up is not of those that came after.
        idle.generation += 1;
        assert_eq!(idle.lead_to("b:1".to_owned(), new), new);
    }
}
