//! Measures the worker beside hand-written loops that do the same job, in rotation, each as a process of its own.
//!
//! `benches/run` starts a broker and a Redis and then this. `rotate` is the driver: it makes the records, starts
//! itself again as `work KIND` for every run, asks Kafka and Redis what became of it, and prints medians and ratios.

mod bounds;
mod contract;
mod delay;
mod latency;
mod measure;
mod plots;
mod records;
mod rotation;
mod topic;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

/// As the shop's worker has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// What everything here answers with.
type Result<T> = std::result::Result<T, oncewise::BoxError>;

/// The worker beside hand-written loops.
#[derive(Debug, Parser)]
#[command(name = "bench", args_override_self = true)]
struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Runs several programs in rotation and compares them.
    Rotate(Box<rotation::Plan>),
    /// Measures how long records take from the moment they were due to be sent to their effect, at shares of full load.
    Latency(Box<latency::Loads>),
    /// Measures what a worker takes without work and with handlers that stand still, and how often it commits.
    Bounds(Box<bounds::Bounds>),
    /// Draws throughput against the in-flight limit and the handler's time, and delay against load.
    Plots(Box<plots::Plots>),
    /// Makes a topic and its records.
    Fill { brokers: String, topic: String, workload: String },
    /// One run, as the environment says: BROKERS, REDIS_URL, TOPIC, GROUP, EXPECT, HANDLER_US, HANDLER_CPU_US,
    /// CONCURRENCY.
    Work { kind: work::Kind },
}

fn main() -> ExitCode {
    let done = match Args::parse().verb {
        Verb::Rotate(plan) => rotation::run(&plan),
        Verb::Latency(loads) => latency::run(&loads),
        Verb::Bounds(bounds) => bounds::run(&bounds),
        Verb::Plots(plots) => plots::run(&plots),
        Verb::Fill { brokers, topic, workload } => serde_json::from_str(&workload)
            .map_err(Into::into)
            .and_then(|workload| topic::fill(&brokers, &topic, &workload))
            .map(|()| true),
        Verb::Work { kind } => work::run(kind).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
