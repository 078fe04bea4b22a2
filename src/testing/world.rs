//! What outlives a process: the broker, the store, time, and what is to go wrong.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    Fault, Moment,
    broker::Broker,
    fate::{Fate, State},
    passage::Passage,
};
use crate::{
    pipeline::How,
    store::{Clock, MemoryStore},
};

/// What outlives a process.
#[derive(Debug)]
pub(super) struct World {
    pub(super) passage: Arc<Passage>,
    pub(super) clock: Clock,
    things: Mutex<Things>,
    /// Wakes up whoever waits for the end of the work.
    pub(super) news: Notify,
}

/// What changes.
#[derive(Debug)]
pub(super) struct Things {
    pub(super) broker: Broker,
    pub(super) store: Arc<MemoryStore>,
    pub(super) store_back: Instant,
    pub(super) broker_back: Instant,
    pub(super) traps: Vec<(Moment, Fault)>,
    pub(super) outcomes: Vec<How>,
    pub(super) attempts: usize,
}

impl World {
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        let things = Things {
            broker: Broker::default(),
            store: Arc::default(),
            store_back: now,
            broker_back: now,
            traps: Vec::new(),
            outcomes: Vec::new(),
            attempts: 0,
        };
        Arc::new(Self {
            passage: Passage::new(),
            clock: Clock::of_tokio(),
            things: Mutex::new(things),
            news: Notify::new(),
        })
    }

    /// To look and to change, between two waits.
    pub(super) fn things(&self) -> MutexGuard<'_, Things> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process' hold on the world, which its fate may take away.
#[derive(Debug, Clone)]
pub(super) struct Seam {
    pub(super) world: Arc<World>,
    pub(super) fate: Arc<Fate>,
}

impl Seam {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world, fate: Arc::default() }
    }

    /// A record has come to this moment: what was to go wrong here does, and the process goes on if it may.
    pub(super) async fn reach(&self, moment: Moment) {
        if self.strike(moment) {
            std::future::pending().await
        }
        self.fate.gate().await;
    }

    /// Lets happen what was to go wrong at this moment. Answers whether the handler hangs from now on.
    pub(super) fn strike(&self, moment: Moment) -> bool {
        let mut things = self.world.things();
        if self.fate.state() != State::Alive {
            return false;
        }
        let mut struck = Vec::new();
        // One that is there twice is for the next time, too.
        things.traps.retain(|(when, fault)| {
            let stays = *when != moment || struck.contains(fault);
            if !stays {
                struck.push(*fault);
            }
            stays
        });
        let until = |time: Duration| Instant::now() + time;
        for fault in &struck {
            match fault {
                Fault::Crash => self.fate.turn(State::Dead),
                Fault::Stall => self.fate.turn(State::Frozen),
                Fault::TimeOut => {}
                Fault::StoreDown(time) => things.store_back = until(*time),
                Fault::StoreLost => things.store = Arc::default(),
                Fault::BrokerDown(time) => things.broker_back = until(*time),
            }
        }
        self.world.news.notify_one();
        struck.contains(&Fault::TimeOut)
    }
}
