//! What the services report about themselves, for the probes to read.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::probes::{Paused, ServiceSnapshot, Snapshot};

/// The state of all services of one process; clones share it.
#[derive(Debug, Clone)]
pub struct Health(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stale_after: Duration,
    services: Mutex<BTreeMap<String, ServiceHealth>>,
}

/// One service's side of [`Health`]; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ServiceHealth(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last_tick: Option<Instant>,
    started: bool,
    joined: bool,
    stopping: bool,
    store_down: Option<String>,
    not_told: Option<String>,
    paused: BTreeMap<(String, i32), String>,
    stalled: BTreeMap<(String, i32), String>,
    notes: BTreeMap<String, String>,
}

impl Health {
    /// How old the last tick of a poll loop may be before the process counts as stuck, unless told otherwise.
    pub const STALE_AFTER: Duration = Duration::from_secs(30);

    /// No services yet; a poll loop counts as stuck when its last tick is older than `stale_after`.
    #[must_use]
    pub fn new(stale_after: Duration) -> Self {
        Self(Arc::new(Inner { stale_after, services: Mutex::default() }))
    }

    /// The state of a service, made at the first call. To be called for every service before any of them starts, so
    /// that `/startupz` waits for all.
    #[must_use]
    pub fn service(&self, name: &str) -> ServiceHealth {
        lock(&self.0.services).entry(name.to_owned()).or_default().clone()
    }

    /// The state of all services now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Instant::now();
        let services = lock(&self.0.services);
        let services = services.iter().map(|(name, service)| service.snapshot(name, now)).collect();
        Snapshot { stale_after: self.0.stale_after, services }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new(Self::STALE_AFTER)
    }
}

impl ServiceHealth {
    /// The poll loop has turned once; to be called at every turn, also while Kafka or the store is out of reach.
    pub fn tick(&self) {
        lock(&self.0).last_tick = Some(Instant::now());
    }

    /// The service has joined its group, with or without partitions, or has left it.
    pub fn joined(&self, joined: bool) {
        let mut state = lock(&self.0);
        state.joined = joined;
        state.started |= joined;
    }

    /// The dedupe store answers again.
    pub fn store_up(&self) {
        lock(&self.0).store_down = None;
    }

    /// The dedupe store cannot be used; `reason` is shown to whoever asks, so it must hold no secret.
    pub fn store_down(&self, reason: impl Into<String>) {
        lock(&self.0).store_down = Some(reason.into());
    }

    /// Nothing begins yet, for what operators have paused is not known; `None` once it is.
    pub fn not_told(&self, reason: Option<String>) {
        lock(&self.0).not_told = reason;
    }

    /// A partition waits for a person, as one with lost offsets does. A pause that somebody asked for, or that ends by
    /// itself, does not belong here.
    pub fn pause(&self, topic: &str, partition: i32, reason: impl Into<String>) {
        lock(&self.0).paused.insert((topic.to_owned(), partition), reason.into());
    }

    /// A partition goes on, or is no longer ours.
    pub fn resume(&self, topic: &str, partition: i32) {
        lock(&self.0).paused.remove(&(topic.to_owned(), partition));
    }

    /// A partition stands still although records wait for it, and nothing outside of this process explains that; why is
    /// what it waits for.
    pub fn stalled(&self, topic: &str, partition: i32, why: impl Into<String>) {
        lock(&self.0).stalled.insert((topic.to_owned(), partition), why.into());
    }

    /// A partition moves again, or is no longer ours.
    pub fn moves(&self, topic: &str, partition: i32) {
        lock(&self.0).stalled.remove(&(topic.to_owned(), partition));
    }

    /// Something that costs no readiness and is worth knowing, such as what waits for somebody else.
    pub fn note(&self, about: &str, what: impl Into<String>) {
        lock(&self.0).notes.insert(about.to_owned(), what.into());
    }

    /// What was noted is over.
    pub fn unnote(&self, about: &str) {
        lock(&self.0).notes.remove(about);
    }

    /// The service has begun to drain: not ready any more, alive as long as its poll loop turns.
    pub fn draining(&self) {
        lock(&self.0).stopping = true;
    }

    /// The poll loop has ended in order, so that its silence is no sign of trouble.
    pub fn stopped(&self) {
        let mut state = lock(&self.0);
        state.stopping = true;
        state.joined = false;
        state.last_tick = None;
    }

    fn snapshot(&self, name: &str, now: Instant) -> ServiceSnapshot {
        let state = lock(&self.0);
        let paused = |((topic, partition), reason): (&(String, i32), &String)| Paused {
            topic: topic.clone(),
            partition: *partition,
            reason: reason.clone(),
        };
        ServiceSnapshot {
            name: name.to_owned(),
            since_tick: state.last_tick.map(|tick| now.saturating_duration_since(tick)),
            started: state.started,
            joined: state.joined,
            stopping: state.stopping,
            store_down: state.store_down.clone(),
            not_told: state.not_told.clone(),
            paused: state.paused.iter().map(paused).collect(),
            stalled: state.stalled.iter().map(paused).collect(),
            notes: state.notes.iter().map(|(about, what)| format!("{about}: {what}")).collect(),
        }
    }
}

/// A panic while the lock was held leaves plain values behind, which stay true.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_becomes_ready_degraded_and_ready_again() {
        let health = Health::default();
        let payments = health.service("payments");
        assert!(!health.snapshot().startupz().is_ok());

        payments.joined(true);
        assert!(health.snapshot().startupz().is_ok());
        assert!(health.snapshot().readyz().is_ok());

        payments.store_down("connection refused");
        payments.pause("orders.created", 2, "its offset is lost");
        assert_eq!(health.snapshot().readyz().reasons.len(), 2);

        payments.store_up();
        payments.resume("orders.created", 2);
        assert!(health.snapshot().readyz().is_ok());

        payments.joined(false);
        assert!(!health.snapshot().readyz().is_ok());
        assert!(health.snapshot().startupz().is_ok(), "a start is not taken back");
    }

    #[test]
    fn only_ticks_keep_a_polling_service_alive() {
        let health = Health::new(Duration::ZERO);
        let payments = health.service("payments");
        assert!(health.snapshot().livez().is_ok(), "nothing polls yet");

        payments.tick();
        // Any time at all is too long here, so the clock has only to move on.
        while health.snapshot().services[0].since_tick == Some(Duration::ZERO) {}
        assert!(!health.snapshot().livez().is_ok());
        assert!(Health::default().snapshot().livez().is_ok());

        payments.stopped();
        assert!(health.snapshot().livez().is_ok(), "a stopped service has no poll loop");
        assert!(!health.snapshot().readyz().is_ok());
    }

    #[test]
    fn a_partition_that_stands_still_costs_liveness_until_it_moves() {
        let health = Health::default();
        let payments = health.service("payments");
        payments.tick();
        payments.stalled("orders.created", 2, "7 records wait");
        let answer = health.snapshot().livez();
        assert_eq!(answer.reasons, ["payments: partition 2 of orders.created stands still: 7 records wait"]);
        payments.moves("orders.created", 2);
        assert!(health.snapshot().livez().is_ok());
    }

    #[test]
    fn a_note_is_shown_and_costs_no_readiness() {
        let health = Health::default();
        let payments = health.service("payments");
        payments.joined(true);
        payments.note("breaker of charge", "it is open");
        let answer = health.snapshot().readyz();
        assert!(answer.is_ok());
        assert_eq!(answer.to_string(), "ok\npayments: breaker of charge: it is open\n");
        payments.unnote("breaker of charge");
        assert_eq!(health.snapshot().readyz().to_string(), "ok\n");
    }

    #[test]
    fn asking_for_a_service_twice_gives_the_same_one() {
        let health = Health::default();
        health.service("payments").joined(true);
        health.service("payments").draining();
        let snapshot = health.snapshot();
        assert_eq!(snapshot.services.len(), 1);
        assert!(snapshot.services[0].joined && snapshot.services[0].stopping);
    }
}
