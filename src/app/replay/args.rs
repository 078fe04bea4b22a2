//! What `replay` is told.

use jiff::Timestamp;

use crate::replay::{Bound, Mode, Order, parse_partitions};

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
    #[arg(long, value_enum, default_value_t = ReplayMode::SkipDone)]
    mode: ReplayMode,
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

/// What a replay does with the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ReplayMode {
    /// Runs what has neither taken effect nor become a dead letter
    SkipDone,
    /// Runs nothing, and fails unless everything is settled
    Verify,
    /// Runs everything once more, under the name of --epoch
    Force,
}

impl Replay {
    /// What is wanted, by the service of this name; all that is wrong with it at once.
    pub(super) fn order(
        &self,
        service: &str,
        topics: &[String],
        now: Timestamp,
    ) -> Result<Order, Vec<String>> {
        let mut problems = Vec::new();
        let mut bound = |flag: &str, text: &Option<String>| {
            let text = text.as_deref().unwrap_or_default();
            Bound::parse(text, now).map_err(|error| problems.push(format!("{flag} {error}"))).ok()
        };
        let (from, to) = (bound("--from", &self.from), bound("--to", &self.to));
        let partitions = self.partitions.as_deref().map(parse_partitions).transpose();
        let partitions = partitions.map_err(|problem| problems.push(problem)).ok().flatten();
        let forced = self.mode == ReplayMode::Force;
        if !forced && (self.epoch.is_some() || self.new_keys) {
            problems.push("--epoch and --new-keys belong to --mode force".to_owned());
        }
        if forced && self.epoch.is_none() {
            problems
                .push("--mode force runs everything once more: name that run with --epoch NAME".to_owned());
        }
        let mode = match self.mode {
            ReplayMode::SkipDone => Mode::SkipDone,
            ReplayMode::Verify => Mode::Verify,
            ReplayMode::Force => {
                Mode::Force { epoch: self.epoch.clone().unwrap_or_default(), new_keys: self.new_keys }
            }
        };
        let (Some(from), Some(to)) = (from, to) else { return Err(problems) };
        let order = Order {
            service: service.to_owned(),
            topics: topics.to_vec(),
            partitions: partitions.unwrap_or_default(),
            from,
            to,
            mode,
            rate: self.rate,
            max: self.max,
            allow_unknown: self.allow_unknown,
            in_order: self.in_order,
        };
        if problems.is_empty() {
            order.check()?;
            return Ok(order);
        }
        // One of them may be that the epoch has no name; that is said already.
        problems.extend(
            order.check().err().into_iter().flatten().filter(|problem| !problem.contains("--epoch ``")),
        );
        Err(problems)
    }
}

impl Replay {
    /// What may be told anew to a replay that goes on; what it replays stays as it was ordered.
    pub(super) fn amend(&self, order: &mut Order) {
        order.rate = self.rate.or(order.rate);
        order.max = self.max.or(order.max);
        order.allow_unknown |= self.allow_unknown;
    }
}
