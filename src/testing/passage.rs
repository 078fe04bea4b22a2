//! How time passes: as it does for the author's code, and at once for what the harness waits for.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use tokio::{
    runtime::{Handle, RuntimeFlavor},
    time::{self, Instant},
};

/// What the author's code waits for that long, it may wait for for ever.
const WAITS: Duration = Duration::from_millis(50);

/// Pauses tokio's clock, so that back-offs and leases pass at once, while the harness waits and no code of the
/// author runs. With the clock paused for longer, whatever talks to a real database or socket would find its
/// time-outs over before the first answer.
#[derive(Debug)]
pub(super) struct Passage {
    /// The test began with a paused clock, so its author has decided: it stays as it is.
    paused_by_test: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: bool,
    authors: usize,
}

impl State {
    fn is_paused(&self) -> bool {
        self.waiting && self.authors == 0
    }
}

impl Passage {
    pub(super) fn new() -> Arc<Self> {
        let began = Instant::now();
        thread::sleep(Duration::from_millis(1));
        let paused_by_test = Instant::now() == began;
        Arc::new(Self { paused_by_test, state: Mutex::default() })
    }

    /// The harness waits until this is dropped.
    ///
    /// # Panics
    /// On a runtime with several threads: their clock cannot be paused.
    pub(super) fn wait(self: &Arc<Self>) -> Passing {
        assert!(
            Handle::current().runtime_flavor() == RuntimeFlavor::CurrentThread,
            "a harness needs a runtime of one thread, which is what `#[tokio::test]` makes unless told otherwise"
        );
        self.change(|state| state.waiting = true);
        Passing { passage: Arc::clone(self), end: |state| state.waiting = false }
    }

    /// The author's code runs until this is dropped.
    pub(super) fn author(self: &Arc<Self>) -> Passing {
        self.change(|state| state.authors += 1);
        Passing { passage: Arc::clone(self), end: |state| state.authors -= 1 }
    }

    /// Ends when code of the author has been waiting for something: perhaps for what another process holds.
    pub(super) async fn author_waits(&self) {
        loop {
            let before = self.has_authors();
            time::sleep(WAITS).await;
            if before && self.has_authors() {
                return;
            }
        }
    }

    fn has_authors(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).authors > 0
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.is_paused();
        change(&mut state);
        // What a runtime drops when it ends has no clock any more.
        if self.paused_by_test || Handle::try_current().is_err() {
            return;
        }
        match (before, state.is_paused()) {
            (false, true) => time::pause(),
            (true, false) => time::resume(),
            _ => {}
        }
    }
}

/// Lasts until it is dropped.
#[derive(Debug)]
pub(super) struct Passing {
    passage: Arc<Passage>,
    end: fn(&mut State),
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.passage.change(self.end);
    }
}
