//! Who runs, how often, and with what.

use std::{path::Path, process::Command, time::Duration};

use clap::Args;

use crate::{Result, contract::Contract, measure::RedisUse, records::Workload, work::Kind};

/// What is to be compared.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    #[arg(long, env = "BROKERS")]
    pub(crate) brokers: String,
    #[arg(long, env = "REDIS_URL")]
    pub(crate) redis_url: String,
    #[command(flatten)]
    pub(crate) workload: Workload,
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// How long a handler waits.
    #[arg(long, default_value_t = 0)]
    handler_us: u64,
    /// How long a handler computes.
    #[arg(long, default_value_t = 0)]
    handler_cpu_us: u64,
    /// Handlers at the same time.
    #[arg(long, default_value_t = 64)]
    pub(crate) in_flight: usize,
    /// Only these of our own programs, the first being what the others are compared with.
    #[arg(long, value_delimiter = ',', default_value = "ours,raw,naive,one-phase,two-phase,ours-memory")]
    only: Vec<Kind>,
    /// Another program beside them: a folder with a `run.sh`, and variables: `peers/franz-go:MODE=keyed`.
    #[arg(long = "peer")]
    peers: Vec<String>,
    /// A command in front of our own programs, such as `perf record -g -o /tmp/perf.data`.
    #[arg(long, default_value = "")]
    wrap: String,
    /// After so many seconds a run has failed.
    #[arg(long, default_value_t = 300)]
    limit: u64,
}

/// Somebody who does the job.
#[derive(Debug, Clone)]
pub(crate) enum Runner {
    /// This binary.
    Ours(Kind),
    /// Somebody else's program, with its variables.
    Peer { folder: String, variables: Vec<(String, String)>, name: String },
}

impl Plan {
    pub(crate) fn runners(&self) -> Vec<Runner> {
        let ours = self.only.iter().map(|kind| Runner::Ours(*kind));
        ours.chain(self.peers.iter().map(|peer| Runner::peer(peer))).collect()
    }

    pub(crate) fn contract(&self, topic: &str, group: &str) -> Contract {
        Contract {
            brokers: self.brokers.clone(),
            redis_url: self.redis_url.clone(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            expect: self.workload.records as u64,
            wait: Duration::from_micros(self.handler_us),
            compute: Duration::from_micros(self.handler_cpu_us),
            in_flight: self.in_flight,
        }
    }

    /// The same with another limit, another handler and so many records.
    pub(crate) fn with(&self, in_flight: usize, handler_us: u64, records: usize) -> Self {
        let workload = Workload { records, ..self.workload.clone() };
        Self { in_flight, handler_us, workload, ..self.clone() }
    }

    /// The process of one run.
    pub(crate) fn command(&self, runner: &Runner) -> Result<Command> {
        let mut command = Command::new("timeout");
        command.arg("--foreground").arg(self.limit.to_string());
        match runner {
            Runner::Ours(kind) => {
                command.args(self.wrap.split_whitespace());
                command.arg(std::env::current_exe()?).args(["work", &kind.name()]);
            }
            Runner::Peer { folder, variables, .. } => {
                command.arg(Path::new(folder).join("run.sh")).envs(variables.iter().cloned());
            }
        }
        Ok(command)
    }
}

impl Runner {
    fn peer(text: &str) -> Self {
        let (folder, variables) = text.split_once(':').unwrap_or((text, ""));
        let pairs = variables.split(',').filter_map(|pair| pair.split_once('='));
        let variables: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let program = Path::new(folder).file_name().unwrap_or_default().to_string_lossy();
        let values = variables.iter().map(|(_, value)| format!("-{value}"));
        Self::Peer {
            name: format!("{program}{}", values.collect::<String>()),
            folder: folder.to_owned(),
            variables,
        }
    }

    /// As it is called in the table.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Ours(kind) => kind.name(),
            Self::Peer { name, .. } => name.clone(),
        }
    }

    /// How many effects its job has. Who keeps nothing in Redis does not look for repeats, except for our own.
    pub(crate) fn effects(&self, workload: &Workload, used: &RedisUse) -> usize {
        let looks_for_repeats = match self {
            Self::Ours(kind) => *kind != Kind::Raw,
            Self::Peer { .. } => used.keys > 0,
        };
        if looks_for_repeats { workload.distinct() } else { workload.records }
    }
}
