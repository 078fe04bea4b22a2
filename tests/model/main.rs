//! The claim protocol, all of it: every order of steps and faults of two workers over one partition, up to a bound.
//!
//! `ONCEWISE_MODEL_FAULTS` sets how many faults there may be in one history, [`FAULTS`] otherwise: each more makes it about
//! twenty times as many states.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod copies;
mod protocol;
mod state;
mod steps;

use stateright::{Checker, HasDiscoveries, Model};

use protocol::Protocol;
use state::{LOST, NEVER_STUCK, OVER_THE_BOUND, TOKENS_GROW, TWO_LEASES};
use steps::Workers;

/// Faults in one history.
const FAULTS: u8 = 3;

fn faults() -> u8 {
    std::env::var("ONCEWISE_MODEL_FAULTS").map_or(FAULTS, |text| text.parse().unwrap())
}

/// The shortest history that breaks this property, step by step.
fn counterexample(protocol: Protocol, property: &'static str) -> Option<Vec<String>> {
    let model = Workers { protocol, faults: FAULTS };
    let found = HasDiscoveries::AnyOf([property].into());
    let checker = model.checker().threads(2).finish_when(found).spawn_bfs().join();
    let path = checker.discovery(property)?;
    Some(path.into_actions().iter().map(|step| format!("{step:?}")).collect())
}

#[test]
fn the_claim_protocol_loses_nothing_and_keeps_the_bound() {
    let checker =
        Workers { protocol: Protocol::Ours, faults: faults() }.checker().threads(2).spawn_bfs().join();
    println!("{} states", checker.unique_state_count());
    assert!(checker.unique_state_count() > 10_000, "only {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn a_mark_before_the_work_loses_events() {
    let path = counterexample(Protocol::MarkBefore, LOST).unwrap();
    assert!(path.len() <= 7, "{path:#?}");
}

#[test]
fn a_mark_after_the_work_doubles_events() {
    let path = counterexample(Protocol::MarkAfter, OVER_THE_BOUND).unwrap();
    assert!(!path.iter().any(|step| step.contains("Crash")), "a rebalance is enough: {path:#?}");
}

#[test]
fn a_take_over_in_two_steps_has_two_takers() {
    counterexample(Protocol::GetThenSet, TWO_LEASES).unwrap();
    counterexample(Protocol::GetThenSet, OVER_THE_BOUND).unwrap();
}

#[test]
fn a_release_that_does_not_look_frees_the_claim_of_another() {
    counterexample(Protocol::DeletesBlindly, TWO_LEASES).unwrap();
}

#[test]
fn tokens_that_begin_anew_after_a_loss_do_not_grow() {
    counterexample(Protocol::TokensFromOne, TOKENS_GROW).unwrap();
}

#[test]
fn leases_that_never_run_out_leave_events_behind() {
    counterexample(Protocol::LeasesForEver, NEVER_STUCK).unwrap();
}
