//! The driver: everybody in turn, several rounds, each run checked against Kafka's own answer.

mod plan;
mod report;
mod row;

pub(crate) use plan::{Plan, Runner};
pub(crate) use report::median;
pub(crate) use row::Row;

use std::{process::Command, time::Duration};

use crate::{
    Result,
    contract::Contract,
    delay::now_us,
    measure::{self, RedisMeter},
    topic::Offsets,
    work::Kind,
};

/// Whether every run did its job.
pub(crate) fn run(plan: &Plan) -> Result<bool> {
    let rows = rows(plan)?;
    println!("\n{}", report::table(&rows));
    Ok(rows.iter().all(|row| row.problem.is_none()))
}

/// All runs, each printed when it has ended.
pub(crate) fn rows(plan: &Plan) -> Result<Vec<Row>> {
    let topic = format!("bench-{}", now_us());
    fill(plan, &topic)?;
    warm_up(plan, &topic)?;
    let mut redis = RedisMeter::new(&plan.redis_url)?;
    let mut rows = Vec::new();
    for round in 1..=plan.rounds {
        for runner in plan.runners() {
            let contract = plan.contract(&topic, &format!("{topic}-{}", rows.len()));
            let row = once(plan, &contract, &mut redis, round, &runner)?;
            println!("{}", serde_json::to_string(&row)?);
            rows.push(row);
        }
    }
    Ok(rows)
}

/// In a process of its own: what this one has in memory counts as the beginning of those that it starts.
fn fill(plan: &Plan, topic: &str) -> Result<()> {
    eprintln!("writing {} records", plan.workload.records);
    let mut filling = Command::new(std::env::current_exe()?);
    let filled =
        filling.args(["fill", &plan.brokers, topic, &serde_json::to_string(&plan.workload)?]).status()?;
    if filled.success() { Ok(()) } else { Err("no records".into()) }
}

/// The broker is faster the second time: nobody is to be the first.
fn warm_up(plan: &Plan, topic: &str) -> Result<()> {
    let contract = plan.contract(topic, &format!("{topic}-warm-up"));
    let contract = Contract { wait: Duration::ZERO, compute: Duration::ZERO, ..contract };
    measure::run(plan.command(&Runner::Ours(Kind::Raw))?.envs(contract.to_env()))?.score?;
    Ok(())
}

fn once(
    plan: &Plan,
    contract: &Contract,
    redis: &mut RedisMeter,
    round: usize,
    runner: &Runner,
) -> Result<Row> {
    let before = redis.begin()?;
    let ran = measure::run(plan.command(runner)?.envs(contract.to_env()))?;
    let used = redis.end(before)?;
    let offsets = Offsets::new(&contract.brokers, &contract.group, &contract.topic)?;
    let is_committed = offsets.committed()? == offsets.ends()?;
    Ok(Row::new(round, plan, runner, ran, used, is_committed))
}
