//! What the handlers of a batch have answered: counters are shared by all threads, so that is counted in one go.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{
    pipeline::{pass::Pass, route::Route},
    telemetry::metrics::AttemptOutcome,
};

/// Attempts of one handler with one outcome, not yet counted.
#[derive(Default)]
pub(super) struct Answers {
    of: Option<(Arc<Route>, AttemptOutcome)>,
    took: Vec<Duration>,
    /// How many of them have passed their handler's gate, and when the last of these was answered.
    passed: Option<(u64, Instant)>,
}

impl Answers {
    /// An attempt of this handler has ended after so long.
    pub(super) fn ended(&mut self, route: &Arc<Route>, outcome: AttemptOutcome, took: Duration) {
        let is_alike =
            |(same, before): &(Arc<Route>, AttemptOutcome)| Arc::ptr_eq(same, route) && *before == outcome;
        if !self.of.as_ref().is_some_and(is_alike) {
            self.count();
            self.of = Some((Arc::clone(route), outcome));
        }
        self.took.push(took);
    }

    /// The handler of the last one has answered, and its event needs no other attempt.
    pub(super) fn answered(&mut self, pass: Pass, now: Instant) {
        if pass.is_counted() {
            if let Some((route, _)) = &self.of {
                route.gate.answered(pass, None, now);
            }
            return;
        }
        self.passed = Some((self.passed.map_or(1, |(number, _)| number + 1), now));
    }

    /// Counts all of them.
    pub(super) fn count(&mut self) {
        let Some((route, outcome)) = self.of.take() else { return };
        route.metrics.attempts(outcome, &self.took);
        self.took.clear();
        if let Some((number, now)) = self.passed.take() {
            route.gate.all_answered(number, now);
        }
    }
}
