//! One run, as it is printed and compared.

use serde::Serialize;

use super::{Plan, plan::Runner};
use crate::{
    contract::Score,
    measure::{Ran, RedisUse},
};

/// One run. Costs are per record, and Redis' memory per event that it remembers.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) round: usize,
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) score: Option<Score>,
    pub(crate) cpu_us: f64,
    pub(crate) peak_rss_mb: f64,
    pub(crate) redis_command_us: f64,
    pub(crate) redis_cpu_us: f64,
    pub(crate) redis_bytes: f64,
    /// Why the run does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

impl Row {
    pub(crate) fn new(
        round: usize,
        plan: &Plan,
        runner: &Runner,
        ran: Ran,
        used: RedisUse,
        is_committed: bool,
    ) -> Self {
        let (records, distinct) = (plan.workload.records as f64, plan.workload.distinct() as f64);
        let problem = match &ran.score {
            Ok(score) => {
                problem(score, plan.workload.records, runner.effects(&plan.workload, &used), is_committed)
            }
            Err(problem) => Some(problem.clone()),
        };
        Self {
            round,
            name: runner.name(),
            score: ran.score.ok(),
            cpu_us: rounded(ran.cpu_us / records),
            peak_rss_mb: rounded(ran.peak_rss_bytes as f64 / 1e6),
            redis_command_us: rounded(used.command_us / records),
            redis_cpu_us: rounded(used.cpu_us / records),
            redis_bytes: rounded(used.bytes as f64 / distinct),
            problem,
        }
    }
}

impl Row {
    /// Records a second, of a run that counts.
    pub(crate) fn speed(&self) -> Option<f64> {
        self.problem.is_none().then(|| self.score.as_ref().map(|score| score.per_second))?
    }
}

fn problem(score: &Score, records: usize, effects: usize, is_committed: bool) -> Option<String> {
    let (records, effects) = (records as u64, effects as u64);
    if (score.records, score.effects, score.duplicates) != (records, effects, records - effects) {
        return Some(format!("{effects} effects and {} duplicates were due", records - effects));
    }
    (!is_committed).then(|| "Kafka does not have all offsets".to_owned())
}

fn rounded(number: f64) -> f64 {
    (number * 100.0).round() / 100.0
}
