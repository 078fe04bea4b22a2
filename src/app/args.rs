//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::Flags;

/// Handles Kafka events, each of them once.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
pub(super) struct Args {
    /// Folder of default.toml and the profiles
    #[arg(long, value_name = "DIR", global = true)]
    config: Option<PathBuf>,
    /// Reads DIR/NAME.toml after default.toml
    #[arg(long, value_name = "NAME", global = true)]
    profile: Option<String>,
    /// Consumes PHYSICAL where the code says LOGICAL
    #[arg(long = "topic", value_name = "LOGICAL=PHYSICAL", global = true)]
    topics: Vec<String>,
    #[command(subcommand)]
    pub(super) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Runs the services until it is told to stop
    Run {
        /// Runs only this service; repeatable
        #[arg(long, value_name = "NAME")]
        service: Vec<String>,
    },
    /// Shows everything at work, with nothing but this binary
    Demo {
        /// How many orders
        #[arg(long, value_name = "N", default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        orders: u64,
    },
    /// Looks at Kafka, Redis and the configuration, and says how to mend what is wrong
    Check(Check),
    /// Shows the configuration in effect, and where each value comes from
    Config,
}

#[derive(Debug, clap::Args)]
pub(super) struct Check {
    /// Looks at this service only; repeatable
    #[arg(long, value_name = "NAME")]
    pub(super) service: Vec<String>,
    /// Creates the topics that are ours and missing
    #[arg(long)]
    pub(super) create: bool,
    /// Accepts that the position of a paused partition was lost, and where to go on
    #[arg(long, value_name = "TOPIC:P=earliest|latest|N")]
    pub(super) accept: Vec<String>,
}

impl Args {
    pub(super) fn flags(&self) -> Flags {
        Flags { config: self.config.clone(), profile: self.profile.clone(), topics: self.topics.clone() }
    }
}
