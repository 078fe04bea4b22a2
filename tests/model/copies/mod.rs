//! One event that is sent on: tried later, dead-lettered, sent back by people, delivered again and again, while workers die,
//! go on without their leases, and do not hear that a copy is there. Every order of all that, up to a bound.

mod store;

use stateright::{Checker, HasDiscoveries, Model, Property};

use store::{Claim, Held, Protocol, Record};

const LOST: &str = "it took effect, has a letter, or is on its way";
const OVER_THE_BOUND: &str =
    "effects ≤ 1 + crashes + leases that ran out under the living + failures after an effect";
const TWO_LEASES: &str = "one live lease";
const EARLY: &str = "nothing is tried before it is due";
const NEVER_STUCK: &str = "whatever is on its way goes on";
const ENDS: &str = "a copy takes effect";

/// Faults in one history, failures of the handler, and how often an event is sent on.
const FAULTS: u8 = 3;
const FAILURES: u8 = 2;
const HOPS: u8 = 2;
/// On their way at the same time.
const MOST: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Phase {
    Waits,
    /// Its handler runs.
    Runs,
    /// It has taken effect.
    Worked,
    Failed,
    GivenBack,
    /// The broker has its copy.
    Copied,
    /// The broker has its letter.
    Lettered,
}

/// A delivery of the record, or of a copy of it. What is settled is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Delivery {
    owner: u8,
    hop: u8,
    phase: Phase,
    token: u8,
    /// It has no reason to think that its lease is over.
    is_live: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    store: Record,
    deliveries: Vec<Delivery>,
    owners: u8,
    /// Letters that nobody has sent back: who wrote them, and the hops of what died.
    letters: Vec<(u8, u8)>,
    effects: u8,
    explained: u8,
    faults: u8,
    failures: u8,
    /// It was sent on, and is not due.
    waits: bool,
    was_early: bool,
}

/// What happens to the delivery with this owner. Faults are those from `FailsAfterEffect` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
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

#[derive(Debug, Clone)]
struct Event(Protocol);

impl Delivery {
    fn held(&self) -> Held {
        Held { owner: self.owner, token: self.token, hop: self.hop }
    }

    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Runs | Phase::Worked)
    }
}

impl State {
    fn deliver(&mut self, hop: u8) {
        self.owners += 1;
        let (owner, phase) = (self.owners, Phase::Waits);
        self.deliveries.push(Delivery { owner, hop, phase, token: 0, is_live: false });
    }

    fn of(&mut self, owner: u8) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.owner == owner)
    }

    fn settle(&mut self, owner: u8) {
        self.deliveries.retain(|delivery| delivery.owner != owner);
    }

    /// The lease in the store is over. Whether its holder is there.
    fn run_out(&mut self) -> bool {
        let Record::Leased { owner, has_run_out, .. } = &mut self.store else { return false };
        let (owner, _) = (*owner, std::mem::replace(has_run_out, true));
        self.of(owner).map(|delivery| delivery.is_live = false).is_some()
    }

    /// Time for several renewals: whoever's claim has ended knows.
    fn renew(&mut self) {
        let store = self.store;
        self.deliveries.iter_mut().for_each(|delivery| delivery.is_live &= store.is_held(delivery.held()));
    }
}

impl Model for Event {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        let mut state = State::default();
        state.deliver(0);
        vec![state]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        let may_fault = state.faults < FAULTS;
        let room = state.deliveries.len() < MOST;
        for delivery in &state.deliveries {
            let Delivery { owner, hop, phase, .. } = *delivery;
            match phase {
                Phase::Waits => match state.store.claim(owner, hop).1 {
                    Claim::Busy => {}
                    Claim::NotDue if hop < HOPS => steps.push(Step::PutOff(owner)),
                    Claim::NotDue => {}
                    Claim::Granted(_) | Claim::Duplicate => steps.push(Step::Ask(owner)),
                },
                Phase::Runs => {
                    steps.push(Step::Works(owner));
                    if state.failures < FAILURES {
                        steps.push(Step::Fails(owner));
                        steps.extend(may_fault.then_some(Step::FailsAfterEffect(owner)));
                    }
                }
                Phase::Failed => {
                    steps.push(Step::Letter(owner));
                    let next =
                        if self.0 == Protocol::KeepsWhileCopying { Step::Copy } else { Step::GiveBack };
                    steps.extend((hop < HOPS).then_some(next(owner)));
                }
                Phase::GivenBack => {
                    steps.push(Step::Copy(owner));
                    steps.extend((may_fault && room).then_some(Step::CopyUnheard(owner)));
                }
                Phase::Worked | Phase::Copied | Phase::Lettered => steps.push(Step::End(owner)),
            }
            if may_fault && phase != Phase::Waits {
                steps.push(Step::Crash(owner));
                steps.extend(room.then_some(Step::Rebalance(owner)));
            }
        }
        let is_ended = |writer: u8| {
            !state
                .deliveries
                .iter()
                .any(|delivery| (delivery.owner, delivery.phase) == (writer, Phase::Lettered))
        };
        for (writer, _) in state.letters.iter().filter(|(writer, hop)| *hop < HOPS && is_ended(*writer)) {
            steps.push(Step::SendBack(*writer));
            steps.extend((may_fault && room).then_some(Step::SendBackTwice(*writer)));
        }
        match state.store {
            Record::Free { is_due: false, .. } => steps.push(Step::Due),
            Record::Leased { owner, has_run_out: false, .. } => {
                match state.deliveries.iter().find(|delivery| delivery.owner == owner) {
                    Some(_) => steps.extend(may_fault.then_some(Step::LeaseRunsOut)),
                    None => steps.push(Step::LeaseOfTheDeadRunsOut),
                }
            }
            _ => {}
        }
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = before.clone();
        self.take(&mut state, step);
        state.deliveries.sort_unstable();
        state.letters.sort_unstable();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(LOST, |_, state: &State| {
                state.effects > 0 || !state.deliveries.is_empty() || !state.letters.is_empty()
            }),
            Property::always(OVER_THE_BOUND, |_, state: &State| state.effects <= 1 + state.explained),
            Property::always(TWO_LEASES, |_, state: &State| {
                state.deliveries.iter().filter(|delivery| delivery.is_open() && delivery.is_live).count() <= 1
            }),
            Property::always(EARLY, |_, state: &State| !state.was_early),
            Property::always(NEVER_STUCK, |model: &Self, state: &State| {
                let mut steps = Vec::new();
                model.actions(state, &mut steps);
                state.deliveries.is_empty() || !steps.is_empty()
            }),
            Property::sometimes(ENDS, |_, state: &State| {
                state.store == Record::Done && state.deliveries.is_empty() && state.owners > 2
            }),
        ]
    }
}

impl Event {
    fn take(&self, state: &mut State, step: Step) {
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
                    Phase::Worked => store::End::Done,
                    Phase::Lettered => store::End::Dead,
                    _ => store::End::Moved,
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

/// The shortest history that breaks one of these, step by step.
fn counterexample(protocol: Protocol, properties: &[&'static str]) -> Vec<String> {
    let found = HasDiscoveries::AnyOf(properties.iter().copied().collect());
    let checker = Event(protocol).checker().threads(2).finish_when(found).spawn_bfs().join();
    let path = properties.iter().find_map(|property| checker.discovery(property));
    let path = path.unwrap_or_else(|| panic!("{protocol:?} breaks nothing"));
    path.into_actions().iter().map(|step| format!("{step:?}")).collect()
}

#[test]
fn what_is_sent_on_is_neither_lost_nor_doubled_nor_early() {
    let checker = Event(Protocol::Ours).checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 10_000, "only {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn who_moves_what_another_holds_has_two_at_work() {
    counterexample(Protocol::MovesBlindly, &[TWO_LEASES, OVER_THE_BOUND]);
}

#[test]
fn a_letter_from_before_that_ends_its_copy_has_two_at_work() {
    counterexample(Protocol::LettersEndAll, &[TWO_LEASES, OVER_THE_BOUND]);
}

#[test]
fn a_letter_that_ends_the_claim_of_whoever_took_over_has_two_at_work() {
    counterexample(Protocol::LettersEndTheirDelivery, &[TWO_LEASES, OVER_THE_BOUND]);
}

#[test]
fn a_claim_that_is_kept_while_its_copy_is_sent_is_tried_early() {
    counterexample(Protocol::KeepsWhileCopying, &[EARLY]);
}

#[test]
fn what_is_moved_at_once_is_tried_early() {
    counterexample(Protocol::MovesAtOnce, &[EARLY]);
}
