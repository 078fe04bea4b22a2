//! What may happen to an event and its copies, and what that changes.

use super::{
    Event,
    state::{Delivery, Phase, State},
    store::{Claim, End as Ends, Record},
};

/// What happens to the delivery with this owner. Faults are those from `FailsAfterEffect` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Step {
    Ask(u8),
    /// It meets an event that is not due, and sends it on without a claim.
    PutOff(u8),
    Works(u8),
    Fails(u8),
    GiveBack(u8),
    Copy(u8),
    Letter(u8),
    End(u8),
    Due,
    LeaseOfTheDeadRunsOut,
    /// A person sends back the letter that this one wrote, which is done with it by then, or has died.
    SendBack(u8),
    FailsAfterEffect(u8),
    /// The broker has the copy, and nobody has heard; another one is sent.
    CopyUnheard(u8),
    /// Another person sends it back at the same time.
    SendBackTwice(u8),
    LeaseRunsOut,
    Crash(u8),
    /// The record is given to another worker; this one goes on.
    Rebalance(u8),
}

impl Event {
    /// Does a step.
    pub(super) fn take(&self, state: &mut State, step: Step) {
        use Step::*;
        let (owner, is_fault) = match step {
            Ask(owner) | PutOff(owner) | Works(owner) | Fails(owner) | GiveBack(owner) | Copy(owner)
            | Letter(owner) | End(owner) => (owner, false),
            FailsAfterEffect(owner) | CopyUnheard(owner) | Crash(owner) | Rebalance(owner) => (owner, true),
            Due | LeaseOfTheDeadRunsOut | SendBack(_) => (0, false),
            LeaseRunsOut | SendBackTwice(_) => (0, true),
        };
        state.faults += u8::from(is_fault);
        let store = state.store;
        let delivery = state.of(owner).copied();
        match (step, delivery) {
            (Due, _) => {
                if let Record::Free { is_due, .. } = &mut state.store {
                    *is_due = true;
                }
                state.waits = false;
            }
            (LeaseRunsOut | LeaseOfTheDeadRunsOut, _) => state.explained += u8::from(state.run_out()),
            (SendBack(writer) | SendBackTwice(writer), _) => {
                // It was read before, and whoever's claim it has ended knows by now.
                state.renew();
                let Some(at) = state.letters.iter().position(|letter| letter.0 == writer) else { return };
                let (_, hop) = state.letters[at];
                // The other one has looked before it was marked.
                if let SendBack(_) = step {
                    state.letters.remove(at);
                }
                state.deliver(hop + 1);
            }
            (_, None) => {}
            (Ask(_), Some(asks)) => {
                let (record, answer) = store.claim(owner, asks.hop);
                state.store = record;
                let Claim::Granted(token) = answer else { return state.settle(owner) };
                state.was_early |= state.waits;
                if let Some(delivery) = state.of(owner) {
                    *delivery = Delivery { phase: Phase::Runs, token, is_live: true, ..asks };
                }
            }
            (PutOff(_), Some(early)) => {
                state.settle(owner);
                state.deliver(early.hop + 1);
            }
            (Works(_), Some(_)) => {
                state.effects += 1;
                self.turn(state, owner, Phase::Worked);
            }
            (Fails(_) | FailsAfterEffect(_), Some(_)) => {
                state.failures += 1;
                state.effects += u8::from(is_fault);
                state.explained += u8::from(is_fault);
                self.turn(state, owner, Phase::Failed);
            }
            (GiveBack(_), Some(delivery)) => {
                state.store = store.give_back(delivery.held());
                self.turn(state, owner, Phase::GivenBack);
            }
            (Copy(_) | CopyUnheard(_), Some(delivery)) => {
                let held = delivery.held();
                state.waits |= store.is_held(held)
                    || store.is_given_back(held) && matches!(store, Record::Free { is_due: false, .. });
                state.deliver(delivery.hop + 1);
                if let Copy(_) = step {
                    self.turn(state, owner, Phase::Copied);
                }
            }
            (Letter(_), Some(delivery)) => {
                state.letters.push((owner, delivery.hop));
                self.turn(state, owner, Phase::Lettered);
            }
            (End(_), Some(delivery)) => {
                let end = match delivery.phase {
                    Phase::Worked => Ends::Done,
                    Phase::Lettered => Ends::Dead,
                    _ => Ends::Moved,
                };
                state.store = store.end(self.0, delivery.held(), end);
                // What is dead does not wait any more.
                state.waits &= !matches!(state.store, Record::Dead { .. });
                state.settle(owner);
            }
            (Crash(_), Some(delivery)) => {
                state.explained += u8::from(delivery.phase == Phase::Worked && store != Record::Done);
                state.settle(owner);
                state.deliver(delivery.hop);
            }
            (Rebalance(_), Some(delivery)) => state.deliver(delivery.hop),
        }
    }

    fn turn(&self, state: &mut State, owner: u8, phase: Phase) {
        state.of(owner).into_iter().for_each(|delivery| delivery.phase = phase);
    }
}
