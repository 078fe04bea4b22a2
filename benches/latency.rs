//! How long records take at shares of full load: a producer that keeps its pace whatever the worker does.

use std::{
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use comfy_table::{Table, presets::ASCII_MARKDOWN};

use crate::{
    Result,
    contract::Contract,
    delay::{Delay, now_us},
    measure::{self, Ran, RedisMeter},
    records::Workload,
    rotation::{Plan, Runner, median},
    topic::{self, Writer},
};

/// How long a program may take to join its group.
const JOINING: Duration = Duration::from_secs(60);
/// After that, it looks for where it begins.
const BEGINNING: Duration = Duration::from_secs(1);
/// Records that are sent before the time of any is noted, in so many seconds.
const WARM_UP: f64 = 2.0;

/// What is to be measured.
#[derive(Debug, Args)]
pub(crate) struct Loads {
    #[command(flatten)]
    pub(crate) plan: Plan,
    /// Shares of full load.
    #[arg(long, value_delimiter = ',', default_value = "0.25,0.5,0.8")]
    loads: Vec<f64>,
    /// Full load in records per second; what a program does beside a producer without a pace, if not given.
    #[arg(long)]
    full: Option<f64>,
    /// How long each load lasts in each round.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
}

/// One program under one load: medians over the rounds, and of all rounds the longest delay.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Point {
    pub(crate) name: String,
    pub(crate) load: f64,
    /// Records sent in a second.
    pub(crate) rate: f64,
    pub(crate) delay: Delay,
    /// What a record costs of the processor: the program with its start and its joining, and Redis with all it does.
    pub(crate) cpu_us: f64,
    pub(crate) redis_us: f64,
}

/// A program under a load, round by round.
struct Runs<'a> {
    runner: &'a Runner,
    load: f64,
    rate: f64,
    seen: Vec<(Delay, f64, f64)>,
}

/// Measures and prints. Who fails ends it.
pub(crate) fn run(loads: &Loads) -> Result<bool> {
    println!("\n{}", table(&measure(loads)?));
    Ok(true)
}

/// Every program under every load, in rotation.
pub(crate) fn measure(loads: &Loads) -> Result<Vec<Point>> {
    let plan = &loads.plan;
    let runners = plan.runners();
    // The broker becomes faster for minutes: nobody is to be the first.
    for runner in &runners {
        Paced { plan, runner, workload: &plan.workload, rate: None }.run(&[])?;
    }
    let mut runs: Vec<Runs<'_>> = Vec::new();
    for runner in &runners {
        let full = loads.full_of(runner)?;
        eprintln!("{}: full load is {full:.0} records a second", runner.name());
        let run = |load: &f64| Runs { runner, load: *load, rate: full * load, seen: Vec::new() };
        runs.extend(loads.loads.iter().map(run));
    }
    // Load by load, the programs by turns.
    let mut order: Vec<usize> = (0..runs.len()).collect();
    order.sort_by_key(|place| place % loads.loads.len());
    let mut redis = RedisMeter::new(&plan.redis_url)?;
    for _ in 0..plan.rounds {
        for place in &order {
            let Runs { runner, load, rate, seen } = &mut runs[*place];
            let records = (*rate * (loads.seconds + WARM_UP)) as usize;
            let workload = Workload { records, ..plan.workload.clone() };
            let paced = Paced { plan, runner, workload: &workload, rate: Some(*rate) };
            let before = redis.begin()?;
            let Ran { score, cpu_us, .. } = paced.run(&[])?;
            let (score, redis) = (score?, redis.end(before)?);
            println!(
                "{}",
                serde_json::json!({ "name": runner.name(), "load": load, "rate": rate, "score": score })
            );
            let of_one = |us: f64| us / records as f64;
            seen.push((score.delay.ok_or("no delay was measured")?, of_one(cpu_us), of_one(redis.cpu_us)));
        }
        // Who came first comes last: a machine that becomes faster meanwhile is nobody's advantage.
        order.reverse();
    }
    let point = |Runs { runner, load, rate, seen }: Runs<'_>| {
        let middle = |of: fn(&Delay) -> f64| median(seen.iter().map(|(delay, ..)| of(delay)));
        let delay = Delay {
            p50_ms: middle(|delay| delay.p50_ms),
            p99_ms: middle(|delay| delay.p99_ms),
            p999_ms: middle(|delay| delay.p999_ms),
            max_ms: seen.iter().map(|(delay, ..)| delay.max_ms).fold(f64::NAN, f64::max),
        };
        let cpu_us = median(seen.iter().map(|(_, cpu_us, _)| *cpu_us));
        let redis_us = median(seen.iter().map(|(.., redis_us)| *redis_us));
        Point { name: runner.name(), load, rate, delay, cpu_us, redis_us }
    };
    Ok(runs.into_iter().map(point).collect())
}

impl Loads {
    /// What a program does in a second beside a producer without a pace.
    fn full_of(&self, runner: &Runner) -> Result<f64> {
        if let Some(full) = self.full {
            return Ok(full);
        }
        let plan = &self.plan;
        let paced = Paced { plan, runner, workload: &plan.workload, rate: None };
        let speeds = (0..plan.rounds).map(|_| Ok(paced.run(&[])?.score?.per_second));
        Ok(median(speeds.collect::<Result<Vec<f64>>>()?))
    }
}

/// A program and a producer side by side.
pub(crate) struct Paced<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) runner: &'a Runner,
    pub(crate) workload: &'a Workload,
    /// Records a second; as they go, if not given.
    pub(crate) rate: Option<f64>,
}

impl Paced<'_> {
    /// Starts the program on an empty topic, with these variables, and sends when it has joined.
    pub(crate) fn run(&self, variables: &[(&str, &str)]) -> Result<Ran> {
        let Self { plan, workload, .. } = self;
        let topic = format!("bench-{}", now_us());
        topic::create(&plan.brokers, &topic, workload.partitions)?;
        let contract = Contract { expect: workload.records as u64, ..plan.contract(&topic, &topic) };
        let mut command = plan.command(self.runner)?;
        command.envs(contract.to_env()).envs(variables.iter().copied());
        thread::scope(|scope| {
            let running = scope.spawn(|| measure::run(&mut command));
            await_members(&contract)?;
            send(&contract, workload, self.rate)?;
            running.join().map_err(|_| "the run panicked")?
        })
    }
}

/// Waits until somebody has joined the group and looked for where to begin.
pub(crate) fn await_members(contract: &Contract) -> Result<()> {
    let began = Instant::now();
    while !topic::is_stable(&contract.brokers, &contract.group)? {
        if began.elapsed() > JOINING {
            return Err("it does not join its group".into());
        }
        thread::sleep(Duration::from_millis(100));
    }
    thread::sleep(BEGINNING);
    Ok(())
}

/// A record that was held up counts from when it was due: the next ones do not wait for it.
fn send(contract: &Contract, workload: &Workload, rate: Option<f64>) -> Result<()> {
    let writer = Writer::new(&contract.brokers, &contract.topic, "1")?;
    let (began, began_us) = (Instant::now(), now_us());
    for (number, made) in workload.made().enumerate() {
        let Some(rate) = rate else {
            writer.send(&made)?;
            continue;
        };
        let due = Duration::from_secs_f64(number as f64 / rate);
        if let Some(early) = due.checked_sub(began.elapsed()) {
            thread::sleep(early);
        }
        let is_timed = due.as_secs_f64() > WARM_UP && !made.is_hot;
        let due_us = began_us + u64::try_from(due.as_micros())?;
        writer.send(&if is_timed { made.due(due_us) } else { made })?;
    }
    writer.finish()
}

/// What was measured.
pub(crate) fn table(points: &[Point]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header([
        "program",
        "load",
        "records/s",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "longest ms",
        "its processor us",
        "Redis us",
    ]);
    for Point { name, load, rate, delay, cpu_us, redis_us } in points {
        table.add_row([
            name.clone(),
            format!("{:.0} %", load * 100.0),
            format!("{rate:.0}"),
            format!("{:.1}", delay.p50_ms),
            format!("{:.1}", delay.p99_ms),
            format!("{:.1}", delay.p999_ms),
            format!("{:.1}", delay.max_ms),
            format!("{cpu_us:.1}"),
            format!("{redis_us:.1}"),
        ]);
    }
    table
}
