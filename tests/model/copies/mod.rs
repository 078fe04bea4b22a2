//! One event that is sent on: tried later, dead-lettered, sent back by people, delivered again and again, while workers die,
//! go on without their leases, and do not hear that a copy is there. Every order of all that, up to a bound.

mod state;
mod steps;
mod store;

use stateright::{Checker, HasDiscoveries, Model, Property};

use state::{Delivery, Phase, State};
use steps::Step;
use store::{Claim, Protocol, Record};

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

#[derive(Debug, Clone)]
struct Event(Protocol);

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
