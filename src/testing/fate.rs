//! Whether a process lives.

use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// What has become of a process.
#[derive(Debug, Default)]
pub(super) struct Fate {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Alive,
    /// Nothing in it goes on, and it does not know.
    Frozen,
    Dead,
}

impl Fate {
    pub(super) fn state(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dead stay dead.
    pub(super) fn turn(&self, state: State) {
        {
            let mut now = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if *now == State::Dead {
                return;
            }
            *now = state;
        }
        self.changed.notify_waiters();
    }

    /// Goes on while the process lives: at once, when it wakes up, or never.
    pub(super) async fn gate(&self) {
        self.until(|state| state == State::Alive).await;
    }

    pub(super) async fn until(&self, wanted: impl Fn(State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if wanted(self.state()) {
                return;
            }
            changed.await;
        }
    }
}
