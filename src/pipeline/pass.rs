//! The right to make one attempt, and whether it was used.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    breaker::{Answer, Place, Ticket},
    gate::Gate,
};

/// The right to make one attempt. Dropped, it was not used.
#[derive(Debug, Default)]
pub(crate) struct Pass {
    counted: Option<Counted>,
    begun: Option<Begun>,
}

/// One that was counted in.
#[derive(Debug)]
struct Counted {
    gate: Arc<Gate>,
    ticket: Ticket,
    is_used: bool,
}

/// What had begun before an attempt.
#[derive(Debug)]
enum Begun {
    /// It ended at once, after so many.
    AtOnce(u64),
    Number(Number),
}

/// Of an attempt that has begun and did not end at once: how many had before. Dropped, it is over.
#[derive(Debug)]
struct Number(Arc<Gate>, u64);

impl Pass {
    pub(super) fn counted(gate: Arc<Gate>, ticket: Ticket) -> Self {
        Self { counted: Some(Counted { gate, ticket, is_used: false }), begun: None }
    }

    /// Whether its gate wants to know what becomes of it.
    pub(super) fn is_counted(&self) -> bool {
        self.counted.is_some()
    }

    /// How it was counted in, if it was.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.counted.as_ref().map(|counted| counted.ticket)
    }

    /// Its attempt was made; how it was counted in, if it was.
    pub(super) fn used(&mut self) -> Option<Ticket> {
        self.counted.as_mut().map(|counted| {
            counted.is_used = true;
            counted.ticket
        })
    }

    /// Its attempt has begun and takes its time.
    pub(super) fn is_under_way(&mut self, gate: &Arc<Gate>) {
        let number = gate.begun.fetch_add(1, Relaxed);
        self.begun = Some(Begun::Number(Number(Arc::clone(gate), number)));
    }

    /// Its attempt has ended at once.
    pub(super) fn ended_at_once(&mut self, gate: &Gate) {
        self.begun = Some(Begun::AtOnce(gate.begun.load(Relaxed)));
    }

    /// The place of its attempt among those of its gate.
    pub(super) fn place(&self, gate: &Gate) -> Place {
        let (begun, ended) = (gate.begun.load(Relaxed), gate.ended.load(Relaxed));
        let [number, noted] = match self.begun {
            Some(Begun::Number(Number(_, number))) => [number; 2],
            // Others of its batch have begun after it, which ran before anybody could take note of it.
            Some(Begun::AtOnce(before)) => [before, begun],
            None => [begun; 2],
        };
        Place { number, noted, ended }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.is_used {
            self.gate.end(Some(self.ticket), Answer::Unused, None, self.gate.answers());
        }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}
