//! The right to make one attempt, and whether it was used.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{breaker::Answer, gate::Gate};

/// The right to make one attempt. Dropped, it was not used.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    pub(super) counted: Option<Counted>,
    under_way: Option<UnderWay>,
}

/// One that was counted in.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) gate: Arc<Gate>,
    pub(super) generation: u32,
    pub(super) is_used: bool,
}

/// An attempt that has begun and did not end at once. Over when dropped.
#[derive(Debug)]
struct UnderWay {
    gate: Arc<Gate>,
    /// How many had begun before it.
    number: u64,
}

impl Pass {
    pub(super) fn counted(gate: Arc<Gate>, generation: u32) -> Self {
        Self { counted: Some(Counted { gate, generation, is_used: false }), under_way: None }
    }

    /// Whether its gate wants to know what becomes of it.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// Its attempt has begun and takes its time.
    pub(super) fn is_under_way(&mut self, gate: &Arc<Gate>) {
        let number = gate.begun.fetch_add(1, Relaxed);
        self.under_way = Some(UnderWay { gate: Arc::clone(gate), number });
    }

    /// How many attempts that began before its own are still under way, if all that have ended were of these.
    pub(super) fn outlasted_by(&self, gate: &Gate) -> u64 {
        let number = self.under_way.as_ref().map_or_else(|| gate.begun.load(Relaxed), |it| it.number);
        number.saturating_sub(gate.ended.load(Relaxed))
    }

    /// Its attempt was made; the state in which it was counted in, if it was.
    pub(super) fn used(&mut self) -> Option<u32> {
        self.counted.as_mut().map(|counted| {
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

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.gate.ended.fetch_add(1, Relaxed);
    }
}
