//! The right to make one attempt, and whether it was used.

use std::sync::Arc;

use super::{breaker::Answer, gate::Gate};

/// The right to make one attempt. Dropped, it was not used.
#[derive(Debug)]
pub(crate) struct Pass(pub(super) Option<Counted>);

/// One that was counted in.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) gate: Arc<Gate>,
    pub(super) generation: u32,
    pub(super) is_used: bool,
}

impl Pass {
    /// Whether its gate wants to know what becomes of it.
    pub(super) fn is_counted(&self) -> bool {
        self.0.is_some()
    }

    /// Its attempt was made; the state in which it was counted in, if it was.
    pub(super) fn used(&mut self) -> Option<u32> {
        self.0.as_mut().map(|counted| {
            counted.is_used = true;
            counted.generation
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_used {
            self.gate.end(Some(self.generation), Answer::Unused, None, self.gate.answers());
        }
    }
}
