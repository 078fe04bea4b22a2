//! The gates of all handlers of a service, and what keeps these from their work.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::gate::Gate;

/// The gates of a service, by their handlers.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<BTreeMap<&'static str, Arc<Gate>>>);

impl Gates {
    /// A handler's gate, made when it is first asked for.
    pub(crate) fn of(&self, handler: &'static str, make: impl FnOnce() -> Arc<Gate>) -> Arc<Gate> {
        Arc::clone(self.lock().entry(handler).or_insert_with(make))
    }

    /// A person pauses those handlers for which this says so, and lets the others go on.
    pub(crate) fn pause(&self, is_paused: impl Fn(&str) -> bool) {
        self.lock().values().for_each(|gate| gate.pause(is_paused(gate.handler)));
    }

    /// What keeps the handlers from their work.
    pub(crate) fn views(&self) -> Vec<GateView> {
        self.lock().values().map(|gate| gate.view()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Arc<Gate>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps a handler from its work, for whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GateView {
    pub(crate) handler: &'static str,
    /// A person has paused it.
    pub(crate) is_paused: bool,
    /// `closed`, `half-open` or `open`; `None` without a breaker.
    pub(crate) breaker: Option<&'static str>,
}
