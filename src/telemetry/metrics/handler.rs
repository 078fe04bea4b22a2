//! What is counted per handler and topic.

use std::sync::Arc;
use std::time::Duration;

use prometheus::Histogram;

use super::families::{Counters, Families};
use super::labels::{AttemptOutcome, Disposition, Outcome};

/// The handler's name for records that no handler takes.
pub const NO_HANDLER: &str = "-";

/// The counters of one handler on one topic, resolved once; cheap to clone, and counting takes no lock.
#[derive(Debug, Clone)]
pub struct HandlerMetrics(Arc<Resolved>);

#[derive(Debug)]
struct Resolved {
    records: Counters<Outcome>,
    attempts: Counters<AttemptOutcome>,
    duration: Histogram,
    end_to_end: Histogram,
    dead_letters: Counters<Disposition>,
}

impl HandlerMetrics {
    pub(super) fn resolve(families: &Families, service: &str, topic: &str, handler: &str) -> Self {
        let labels = [service, topic, handler];
        Self(Arc::new(Resolved {
            records: Counters::resolve(&families.records, &labels),
            attempts: Counters::resolve(&families.attempts, &labels),
            duration: families.handler_duration.with_label_values(&labels),
            end_to_end: families.end_to_end.with_label_values(&labels),
            dead_letters: Counters::resolve(&families.dead_letters, &labels),
        }))
    }

    /// Records are settled. An age is the time since the record's own timestamp; `None` where it has none, and in
    /// a replay, whose old records would drown the live ones.
    pub fn settled(&self, outcome: Outcome, ages: impl IntoIterator<Item = Option<Duration>>) {
        let mut number = 0;
        observe(&self.0.end_to_end, ages.into_iter().inspect(|_| number += 1).flatten());
        self.0.records.of(outcome).inc_by(number);
    }

    /// Calls of the handler have ended, each after its time.
    pub fn attempts(&self, outcome: AttemptOutcome, took: &[Duration]) {
        observe(&self.0.duration, took.iter().copied());
        self.0.attempts.of(outcome).inc_by(took.len() as u64);
    }

    /// The broker has acknowledged one dead letter.
    pub fn dead_letter(&self, disposition: Disposition) {
        self.0.dead_letters.of(disposition).inc();
    }
}

/// All threads write into a histogram: many times are added up first, for which one alone would not be worth it.
fn observe(histogram: &Histogram, times: impl Iterator<Item = Duration>) {
    let mut times = times.map(|time| time.as_secs_f64());
    let (Some(first), second) = (times.next(), times.next()) else { return };
    let Some(second) = second else { return histogram.observe(first) };
    let local = histogram.local();
    [first, second].into_iter().chain(times).for_each(|time| local.observe(time));
    local.flush();
}
