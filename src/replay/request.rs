//! What somebody asks for, as people write it: on the command line or over HTTP, with the same answers.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Bound, Mode, Order, parse_partitions};

/// An order whose texts nobody has looked at yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    /// Such as `0,3,5-7`.
    pub(crate) partitions: Option<String>,
    pub(crate) mode: RequestedMode,
    pub(crate) epoch: Option<String>,
    pub(crate) new_keys: bool,
    pub(crate) rate: Option<u32>,
    pub(crate) max: Option<u64>,
    pub(crate) allow_unknown: bool,
    pub(crate) in_order: bool,
}

/// What a replay does with the events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RequestedMode {
    /// Runs what has neither taken effect nor become a dead letter
    #[default]
    SkipDone,
    /// Runs nothing, and fails unless everything is settled
    Verify,
    /// Runs everything once more, under the name of --epoch
    Force,
}

impl Request {
    /// What is wanted, by the service of this name; all that is wrong with it at once.
    pub(crate) fn order(
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
        let forced = self.mode == RequestedMode::Force;
        if !forced && (self.epoch.is_some() || self.new_keys) {
            problems.push("--epoch and --new-keys belong to --mode force".to_owned());
        }
        if forced && self.epoch.is_none() {
            problems
                .push("--mode force runs everything once more: name that run with --epoch NAME".to_owned());
        }
        let mode = match self.mode {
            RequestedMode::SkipDone => Mode::SkipDone,
            RequestedMode::Verify => Mode::Verify,
            RequestedMode::Force => {
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
    /// What may be told anew to a replay that goes on; what it replays stays as it was ordered.
    pub(crate) fn amend(&self, order: &mut Order) {
        order.rate = self.rate.or(order.rate);
        order.max = self.max.or(order.max);
        order.allow_unknown |= self.allow_unknown;
    }
}
