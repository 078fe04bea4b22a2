//! The job itself, the same for everybody: an event, the work of its handler, and what is counted.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    contract::{Contract, Score},
    delay::{Delays, now_us},
    work::Kind,
};

/// What the hand-written loops are made with.
pub(super) const VERSION: &str = "rdkafka 0.39";

/// How many seconds they remember an event.
pub(super) const DAY: u64 = 86_400;

/// The event as the author of a handler would write it down.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "decoding all of it is part of the job")]
pub(super) struct Order {
    pub(super) id: String,
    order_id: String,
    user_id: String,
    amount_cents: u64,
    currency: String,
    created_at: String,
    note: String,
    /// When it was due to be sent, in microseconds since 1970, where that is to be measured.
    sent_us: Option<u64>,
}

/// A counter with a line of the cache for itself, so that counting does not slow down who reads what lies beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Apart(AtomicU64);

impl Apart {
    fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the handler does, and what is counted meanwhile.
#[derive(Debug)]
pub(super) struct Job {
    wait: Duration,
    compute: Duration,
    began: OnceLock<Instant>,
    arrivals: Apart,
    effects: Apart,
    duplicates: Apart,
    delays: Delays,
}

impl Job {
    pub(super) fn new(contract: &Contract) -> Self {
        Self {
            wait: contract.wait,
            compute: contract.compute,
            began: OnceLock::new(),
            arrivals: Apart::default(),
            effects: Apart::default(),
            duplicates: Apart::default(),
            delays: Delays::default(),
        }
    }

    /// A record has arrived; the first one starts the watch.
    pub(super) fn arrived(&self) {
        self.began.get_or_init(Instant::now);
        self.arrivals.add(1);
    }

    /// How many have arrived, repeated deliveries included.
    pub(super) fn arrivals(&self) -> u64 {
        self.arrivals.get()
    }

    /// The handler's work, with the effect at its end.
    pub(super) async fn handle(&self, order: &Order) {
        if !self.wait.is_zero() {
            tokio::time::sleep(self.wait).await;
        }
        if !self.compute.is_zero() {
            let began = Instant::now();
            while began.elapsed() < self.compute {
                std::hint::spin_loop();
            }
        }
        self.effects.add(1);
        if let Some(sent_us) = order.sent_us {
            self.delays.add(now_us().saturating_sub(sent_us));
        }
    }

    pub(super) fn is_instant(&self) -> bool {
        self.wait.is_zero()
    }

    pub(super) fn duplicates(&self, count: u64) {
        self.duplicates.add(count);
    }

    pub(super) fn done(&self) -> u64 {
        self.effects.get() + self.duplicates.get()
    }

    /// What it came to, at the moment of the last commit.
    pub(super) fn score(&self, kind: Kind, version: &str) -> Score {
        let took = self.began.get().map_or(Duration::ZERO, Instant::elapsed);
        let counts = (self.effects.get(), self.duplicates.get());
        Score { delay: self.delays.seen(), ..Score::new(&kind.name(), version, counts, took) }
    }
}
