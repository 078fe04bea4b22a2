//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::{
    dead_letters::DeadLetters,
    fleet::{Pause, Resume, Status},
    new::New,
    produce::{ProduceRecipe, Rate},
    replay::Replay,
    rewind::Rewind,
};
use crate::config::{Flags, is_topic};

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
    /// Consumes PHYSICAL where the code says LOGICAL; `produce`, `dead-letters`, `replay`, `rewind`, `pause` and `resume` take
    /// NAME alone
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
    /// Sends sample events, some of them twice, some of them broken
    Produce(Produce),
    /// Asks a worker on this machine how it is, for the health checks of containers
    Probe {
        /// What to ask
        #[arg(value_enum)]
        probe: Probe,
    },
    /// Looks at what is remembered of one event, or lets it be forgotten
    #[command(subcommand)]
    Dedupe(Dedupe),
    /// Looks at what could not be handled, sends it again or puts it aside
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Writes a project to begin with: a service with one handler and its test
    New(New),
    /// Runs a range of the past again: only what has never taken effect does so now
    Replay(Replay),
    /// Moves the offsets of a stopped group back, so that it meets everything from there on once more
    Rewind(Rewind),
    /// Lets nothing new begin in any pod of a service, until it is resumed
    Pause(Pause),
    /// Lets what was paused go on
    Resume(Resume),
    /// Shows all pods of the services: what is paused, how far they are, and how they are
    Status(Status),
}

impl Verb {
    /// Whether `--topic NAME` says what it is about.
    fn takes_a_topic(&self) -> bool {
        matches!(
            self,
            Self::Produce(_)
                | Self::DeadLetters(_)
                | Self::Replay(_)
                | Self::Rewind(_)
                | Self::Pause(_)
                | Self::Resume(_)
        )
    }
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

#[derive(Debug, clap::Args)]
pub(super) struct Produce {
    /// How many records
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Share of them that repeats an earlier event, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    duplicates: f64,
    /// Share of them that no handler can use, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.01)]
    poison: f64,
    /// At most so many a second, evenly
    #[arg(long, value_name = "N/s")]
    pub(super) rate: Option<Rate>,
    /// How many different record keys, and users behind them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// The same seed gives the same events; without one they are new
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Prints the summary as one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Produce {
    /// What is wanted; all that is wrong with it at once.
    pub(super) fn recipe(&self, targets: &[String]) -> Result<ProduceRecipe, Vec<String>> {
        let Self { count, duplicates, poison, keys, seed, .. } = *self;
        let mut problems = Vec::new();
        for (flag, share) in [("--duplicates", duplicates), ("--poison", poison)] {
            if !(0.0..=1.0).contains(&share) {
                problems.push(format!("{flag} {share}: allowed is a share from 0 to 1"));
            }
        }
        if problems.is_empty() && duplicates + poison > 1.0 {
            problems.push(format!(
                "--duplicates {duplicates} --poison {poison}: together they are more than all records"
            ));
        }
        if targets.len() > 1 {
            problems.push(format!("--topic {}: records go to one topic", targets.join(" --topic ")));
        }
        let allowed = "allowed is the name of one topic, of A-Z, a-z, 0-9, _, - and ., or LOGICAL=PHYSICAL";
        let illegal = targets.iter().filter(|target| !is_topic(target));
        problems.extend(illegal.map(|target| format!("--topic {target:?}: {allowed}")));
        // Ids without the seed of an earlier run, and yet short enough to be typed.
        let seed = seed.unwrap_or_else(|| rand::random::<u32>().into());
        if problems.is_empty() {
            Ok(ProduceRecipe { count, duplicates, poison, keys, seed })
        } else {
            Err(problems)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Probe {
    /// Whether it turns
    Livez,
    /// Whether it works
    Readyz,
    /// Whether it has begun
    Startupz,
}

#[derive(Debug, Subcommand)]
pub(super) enum Dedupe {
    /// Shows what is remembered of one event
    Show(Event),
    /// Lets one event be forgotten, so that it takes effect again when it is delivered again
    Forget {
        #[command(flatten)]
        event: Event,
        /// Does not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct Event {
    /// The service that handles it
    #[arg(long, value_name = "NAME")]
    pub(super) service: String,
    /// The handler
    #[arg(long, value_name = "NAME")]
    pub(super) handler: String,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
    /// The event's dedupe key, as the handler makes it
    #[arg(value_name = "KEY")]
    pub(super) key: String,
}

impl Args {
    pub(super) fn flags(&self) -> Flags {
        let mut topics = self.topics.clone();
        let targets = self.targets();
        topics.retain(|topic| !targets.contains(topic));
        Flags { config: self.config.clone(), profile: self.profile.clone(), topics }
    }

    /// What the traces of this process are called, if its verb has any: after the service where one runs alone.
    pub(super) fn traced_as<'a>(&'a self, otherwise: &'a str) -> Option<&'a str> {
        match &self.verb {
            Verb::Run { service } => match &service[..] {
                [alone] => Some(alone),
                _ => Some(otherwise),
            },
            Verb::Produce(_) => Some("produce"),
            Verb::Replay(_) => Some("replay"),
            Verb::DeadLetters(_) => Some("dead-letters"),
            _ => None,
        }
    }

    /// Where `produce` is to send to, and what `dead-letters`, `replay` and `rewind` are about: names without the `=` of a
    /// mapping. No name of a topic holds one.
    pub(super) fn targets(&self) -> Vec<String> {
        let takes = Verb::takes_a_topic(&self.verb);
        self.topics.iter().filter(|topic| takes && !topic.contains('=')).cloned().collect()
    }
}
