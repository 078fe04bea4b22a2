//! Throughput against the in-flight limit and against the handler's time, and delay against load, as pictures.

mod chart;

use std::path::PathBuf;

use chart::{Chart, Line};
use clap::Args;
use plotters::chart::SeriesLabelPosition;

use crate::{
    Result,
    latency::{self, Loads, Point},
    rotation::{self, Plan, median},
};

/// Handlers at the same time.
const LIMITS: [usize; 7] = [1, 4, 16, 64, 256, 1000, 2000];
/// How long handlers wait while the limit changes, in microseconds.
const WAIT_US: u64 = 5000;
/// How long handlers wait while the limit stays as it is; tokio's clock knows milliseconds.
const TIMES_US: [u64; 7] = [0, 1000, 2000, 5000, 10_000, 20_000, 50_000];
/// How many seconds a run should take, about.
const SECONDS: u64 = 3;
/// Tokio's sleep takes about so much longer, in microseconds.
const LATE_US: u64 = 1200;

/// What is to be drawn, and where.
#[derive(Debug, Args)]
pub(crate) struct Plots {
    #[command(flatten)]
    loads: Loads,
    /// The folder of the pictures.
    #[arg(long, default_value = "benches/plots")]
    out: PathBuf,
}

/// Measures and draws.
pub(crate) fn run(plots: &Plots) -> Result<bool> {
    let plan = &plots.loads.plan;
    let limits = LIMITS.map(|in_flight| (in_flight as u64, changed(plan, in_flight, WAIT_US)));
    let by_limit = Chart {
        title: format!("Throughput against the in-flight limit, handler waits {} ms", WAIT_US / 1000),
        x: "handlers at the same time, at most",
        y: "records/s",
        legend: SeriesLabelPosition::UpperLeft,
        lines: throughput(&limits)?,
    };
    by_limit.draw(&plots.out.join("in-flight.svg"))?;
    let times = TIMES_US.map(|wait_us| (wait_us, changed(plan, plan.in_flight, wait_us)));
    let by_time = Chart {
        title: format!("Throughput against the handler's time, {} in flight", plan.in_flight),
        x: "handler waits, in µs",
        y: "records/s",
        legend: SeriesLabelPosition::LowerLeft,
        lines: throughput(&times)?,
    };
    by_time.draw(&plots.out.join("handler-time.svg"))?;
    let points = latency::measure(&plots.loads)?;
    let by_load = Chart {
        title: "From when a record was due to be sent to its effect".to_owned(),
        x: "% of full load",
        y: "ms",
        legend: SeriesLabelPosition::UpperLeft,
        lines: delays(&points),
    };
    by_load.draw(&plots.out.join("delay.svg"))?;
    println!("\n{}", latency::table(&points));
    Ok(true)
}

/// The same with another limit and another handler, and as many records as that does in a few seconds.
fn changed(plan: &Plan, in_flight: usize, handler_us: u64) -> Plan {
    let possible = in_flight as u64 * 1_000_000 / (handler_us + LATE_US) * SECONDS;
    let possible = if handler_us == 0 { usize::MAX } else { usize::try_from(possible).unwrap_or(usize::MAX) };
    plan.with(in_flight, handler_us, possible.max(200).min(plan.workload.records))
}

/// A line for each program, through its medians.
fn throughput(plans: &[(u64, Plan)]) -> Result<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for (x, plan) in plans {
        let rows = rotation::rows(plan)?;
        for runner in plan.runners() {
            let own = rows.iter().filter(|row| row.name == runner.name());
            let speeds = own.filter_map(rotation::Row::speed);
            Line::add(&mut lines, &runner.name(), (*x as f64, median(speeds)));
        }
    }
    Ok(lines)
}

/// Three lines for each program.
fn delays(points: &[Point]) -> Vec<Line> {
    let mut lines = Vec::new();
    for Point { name, load, delay, .. } in points {
        for (share, ms) in [("p50", delay.p50_ms), ("p99", delay.p99_ms), ("p99.9", delay.p999_ms)] {
            Line::add(&mut lines, &format!("{name} {share}"), (load * 100.0, ms));
        }
    }
    lines
}
