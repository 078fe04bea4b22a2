//! What `replay` is told.

use crate::replay::{Request, RequestedMode};

#[derive(Debug, clap::Args)]
pub(in crate::app) struct Replay {
    /// The service whose events are replayed; the only one of a binary needs no name
    #[arg(long, value_name = "NAME")]
    pub(super) service: Option<String>,
    /// Where the range begins: RFC 3339, "2h ago", or an offset
    #[arg(long, value_name = "TIME", required_unless_present = "resume")]
    from: Option<String>,
    /// Where it ends, itself not included: as --from, or now
    #[arg(long, value_name = "TIME", required_unless_present = "resume")]
    to: Option<String>,
    /// Only these partitions, such as 0,3,5-7
    #[arg(long, value_name = "LIST")]
    partitions: Option<String>,
    /// What is done with the events
    #[arg(long, value_enum, default_value_t = RequestedMode::SkipDone)]
    mode: RequestedMode,
    /// Names a run over everything; under the same name nothing runs twice (with --mode force)
    #[arg(long, value_name = "NAME")]
    epoch: Option<String>,
    /// Lets handlers see other idempotency keys than in the events' own time (with --mode force)
    #[arg(long)]
    new_keys: bool,
    /// Says what would become of every event, and does nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Records a second, at most
    #[arg(long, value_name = "N")]
    rate: Option<u32>,
    /// Records in all, at most
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Goes on with a replay that was stopped, or whose process has died
    #[arg(long, value_name = "ID", conflicts_with_all = ["service", "from", "to", "partitions", "mode", "epoch", "new_keys", "in_order", "dry_run"])]
    pub(super) resume: Option<String>,
    /// Also runs events of which nobody knows whether they took effect
    #[arg(long)]
    allow_unknown: bool,
    /// Trusts that times only grow, and reads no further than the first record that is too young
    #[arg(long)]
    in_order: bool,
    /// Does not ask
    #[arg(long)]
    pub(super) yes: bool,
    /// Prints one line of JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Replay {
    /// What is asked for.
    pub(super) fn request(&self) -> Request {
        Request {
            from: self.from.clone(),
            to: self.to.clone(),
            partitions: self.partitions.clone(),
            mode: self.mode,
            epoch: self.epoch.clone(),
            new_keys: self.new_keys,
            rate: self.rate,
            max: self.max,
            allow_unknown: self.allow_unknown,
            in_order: self.in_order,
        }
    }
}
