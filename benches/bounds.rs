//! What a worker takes when it has nothing to do, when its handlers stand still, and how often it commits.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use clap::Args;

use crate::{
    Result,
    contract::Contract,
    delay::now_us,
    latency::{self, Paced},
    records::Workload,
    rotation::{Plan, Runner},
    topic::{self, Writer},
    work::Kind,
};

/// How long is looked at a worker without work, and at one that stands still.
const LOOK: Duration = Duration::from_secs(20);
/// Values large enough to fill all bounds several times over.
const LARGE: Workload = Workload {
    records: 400,
    duplicates: 0.0,
    partitions: 4,
    value_bytes: 1_000_000,
    keys: Some(400),
    hot_key: 0.0,
    null_keys: 0.0,
    seed: 42,
};
const INTERVALS: [&str; 4] = ["50ms", "200ms", "1s", "5s"];
/// Records a second while commits are counted, and for how many seconds.
const RATE: f64 = 2000.0;
const COUNTED: usize = 15;

/// Where the services are, and what the worker is.
#[derive(Debug, Args)]
pub(crate) struct Bounds {
    #[command(flatten)]
    plan: Plan,
}

/// Measures and prints.
pub(crate) fn run(bounds: &Bounds) -> Result<bool> {
    let plan = &bounds.plan;
    println!("without work: {:.2} % of one processor", idle(plan)?);
    let (before, after) = stalled(plan)?;
    println!(
        "{} values of 1 MB and handlers that stand still: {after:.0} MB, before that {before:.0} MB",
        LARGE.records
    );
    for interval in INTERVALS {
        println!("commit_interval {interval}: {:.1} commits a second", commits(plan, interval)?);
    }
    Ok(true)
}

/// A share of one processor, in percent.
fn idle(plan: &Plan) -> Result<f64> {
    let contract = Contract { expect: 1, ..contract(plan) };
    topic::create(&plan.brokers, &contract.topic, 4)?;
    let mut worker = Started::new(&contract)?;
    latency::await_members(&contract)?;
    let before = worker.cpu()?;
    thread::sleep(LOOK);
    let used = worker.cpu()?.saturating_sub(before);
    // It ends with its one record.
    let writer = Writer::new(&plan.brokers, &contract.topic, "0")?;
    Workload { records: 1, ..LARGE }.made().try_for_each(|made| writer.send(&made))?;
    writer.finish()?;
    worker.0.wait()?;
    Ok(used.as_secs_f64() / LOOK.as_secs_f64() * 100.0)
}

/// Megabytes of a worker that has joined, and the most of one that has taken in what it may.
fn stalled(plan: &Plan) -> Result<(f64, f64)> {
    let contract = Contract { wait: Duration::from_secs(3600), ..contract(plan) };
    topic::create(&plan.brokers, &contract.topic, LARGE.partitions)?;
    let worker = Started::new(&contract)?;
    latency::await_members(&contract)?;
    let before = worker.memory("VmRSS")?;
    let writer = Writer::new(&plan.brokers, &contract.topic, "5")?;
    LARGE.made().try_for_each(|made| writer.send(&made))?;
    writer.finish()?;
    thread::sleep(LOOK);
    Ok((before, worker.memory("VmHWM")?))
}

/// In a second, while records come steadily.
fn commits(plan: &Plan, interval: &str) -> Result<f64> {
    let workload = Workload { records: COUNTED * RATE as usize, ..plan.workload.clone() };
    let paced = Paced { plan, runner: &Runner::Ours(Kind::Ours), workload: &workload, rate: Some(RATE) };
    let score = paced.run(&[("ONCEWISE__WORKER__COMMIT_INTERVAL", interval)])?.score?;
    let commits = score.commits.unwrap_or_default() as f64;
    Ok(commits / score.seconds)
}

fn contract(plan: &Plan) -> Contract {
    let name = format!("bench-{}", now_us());
    plan.contract(&name, &name)
}

/// A worker that is looked at while it runs, and ends with this.
struct Started(Child);

impl Started {
    fn new(contract: &Contract) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["work", &Kind::Ours.name()]).envs(contract.to_env()).stdout(Stdio::null());
        Ok(Self(command.spawn()?))
    }

    /// What all of its threads have used of the processors.
    fn cpu(&self) -> Result<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanos += text.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// A line of what the kernel says about its memory, in megabytes.
    fn memory(&self, name: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().nth(1)?.parse::<f64>().ok());
        Ok(line.ok_or("the kernel does not say")? * 1024.0 / 1e6)
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}
