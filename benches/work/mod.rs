//! One run of one kind, which ends when all records are done and committed.

mod job;
mod ours;
mod pipelined;
mod single;

use clap::ValueEnum;

use crate::{Result, contract::Contract};

/// Who does the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// The worker with its own configuration.
    Ours,
    /// The same, with a store in the memory of the process.
    OursMemory,
    /// The same as `ours`, with the ledger.
    OursLedger,
    /// The same as `ours`, with `dedupe.layout = "compact"`.
    OursCompact,
    /// A loop over rdkafka without any deduplication.
    Raw,
    /// The same loop with one `SET NX EX` per record, before the work.
    Naive,
    /// One pipeline of `SET NX EX` per 500 records, before the work.
    OnePhase,
    /// One pipeline of claims and one of completions per 500 records, without owners.
    TwoPhase,
}

impl Kind {
    /// As it is called on the command line and in tables.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Does the job and prints the score.
pub(crate) fn run(kind: Kind) -> Result<()> {
    let contract = Contract::from_env()?;
    let score = match kind {
        Kind::Ours | Kind::OursMemory | Kind::OursLedger | Kind::OursCompact => ours::run(&contract, kind)?,
        Kind::Raw | Kind::Naive => single::run(&contract, kind)?,
        Kind::OnePhase | Kind::TwoPhase => pipelined::run(&contract, kind)?,
    };
    println!("{}", serde_json::to_string(&score)?);
    Ok(())
}
