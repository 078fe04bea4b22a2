//! What somebody wants to have replayed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Bound;

/// What a replay does with the events in its range.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Mode {
    /// Runs what has neither taken effect nor become a dead letter.
    SkipDone,
    /// Runs nothing, and says what would become of each event.
    Verify,
    /// Runs everything once more, once for each epoch.
    Force {
        /// Names the run: what it has run already is not run again under the same name.
        epoch: String,
        /// Handlers see another idempotency key for each epoch: whatever deduplicates by it takes effect again, too.
        new_keys: bool,
    },
}

/// What somebody wants to have replayed, as far as it can be checked without asking anybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The service.
    pub service: String,
    /// Logical names of topics; all of the service's when empty.
    pub topics: Vec<String>,
    /// All when empty.
    pub partitions: BTreeSet<i32>,
    /// Where it begins.
    pub from: Bound,
    /// Where it ends; this place is not part of it.
    pub to: Bound,
    /// What is done with the events.
    #[serde(flatten)]
    pub mode: Mode,
    /// Events a second, at most.
    pub rate: Option<u32>,
    /// Events that are run, at most.
    pub max: Option<u64>,
    /// Runs events of which nobody knows whether they took effect.
    pub allow_unknown: bool,
    /// Trusts that timestamps only grow: reading ends at the first record that is too young.
    pub in_order: bool,
}

impl Order {
    /// Everything that is wrong with it, all at once.
    ///
    /// # Errors
    /// One text per problem.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        let ends = match (self.from, self.to) {
            (Bound::Time(from), Bound::Time(to)) | (Bound::Offset(from), Bound::Offset(to)) => {
                Some((from, to))
            }
            // Only the log can tell.
            _ => None,
        };
        match ends {
            Some((from, to)) if from == to => {
                problems.push(format!("--from and --to are both {}: the range is empty", self.from));
            }
            Some((from, to)) if from > to => problems
                .push(format!("--from {} is after --to {}: the range is reversed", self.from, self.to)),
            _ => {}
        }
        if let Mode::Force { epoch, .. } = &self.mode
            && !crate::service::is_group(epoch)
        {
            problems.push(format!("--epoch `{epoch}` is not allowed; allowed are A-Z, a-z, 0-9, _ and -"));
        }
        if self.rate == Some(0) {
            problems.push("--rate 0 would never end; allowed are 1 and more".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// Whether a record of this time is in the range; without times in the range every record is.
    pub(super) fn contains(&self, timestamp: Option<i64>) -> Containment {
        let (from, to) = (self.from.time(), self.to.time());
        match timestamp {
            _ if from.is_none() && to.is_none() => Containment::Inside,
            None => Containment::Timeless,
            Some(time) if from.is_none_or(|from| from <= time) && to.is_none_or(|to| time < to) => {
                Containment::Inside
            }
            Some(_) => Containment::Outside,
        }
    }
}

/// Where a record stands to a range of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Containment {
    Inside,
    Outside,
    /// It has no time, so it is in no range of time.
    Timeless,
}

/// A list of partitions names at most so many: no topic has more.
const MOST_PARTITIONS: usize = 100_000;

/// Reads `0,3,5-7`.
///
/// # Errors
/// The text, and what is allowed.
pub fn parse_partitions(text: &str) -> Result<BTreeSet<i32>, String> {
    let wrong = || format!("--partitions `{text}`: allowed are numbers and spans of them, such as 0,3,5-7");
    let number = |text: &str| text.trim().parse::<i32>().ok().filter(|number| *number >= 0);
    let mut partitions = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => {
                let room = MOST_PARTITIONS - partitions.len();
                if (last - first) as usize >= room {
                    return Err(format!(
                        "--partitions names more than {MOST_PARTITIONS}: no topic has so many"
                    ));
                }
                partitions.extend(first..=last);
            }
            _ => return Err(wrong()),
        }
    }
    Ok(partitions)
}

/// Names a replay: when it was ordered, and digits that tell it from all others.
pub(crate) fn name(now: Timestamp) -> String {
    format!("{}-{:016x}", now.strftime("%Y%m%dT%H%M%SZ"), rand::random::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(from: Bound, to: Bound) -> Order {
        Order {
            service: "payments".into(),
            topics: vec![],
            partitions: BTreeSet::new(),
            from,
            to,
            mode: Mode::SkipDone,
            rate: None,
            max: None,
            allow_unknown: false,
            in_order: false,
        }
    }

    #[test]
    fn all_problems_come_at_once() {
        let order = Order {
            rate: Some(0),
            mode: Mode::Force { epoch: "a b".into(), new_keys: false },
            ..order(Bound::Time(2000), Bound::Time(1000))
        };
        let problems = order.check().unwrap_err();
        assert_eq!(
            problems,
            [
                "--from 1970-01-01T00:00:02Z is after --to 1970-01-01T00:00:01Z: the range is reversed",
                "--epoch `a b` is not allowed; allowed are A-Z, a-z, 0-9, _ and -",
                "--rate 0 would never end; allowed are 1 and more",
            ]
        );
    }

    #[test]
    fn an_empty_range_is_said_to_be_empty() {
        let problems = order(Bound::Offset(7), Bound::Offset(7)).check().unwrap_err();
        assert_eq!(problems, ["--from and --to are both offset 7: the range is empty"]);
        assert_eq!(order(Bound::Offset(7), Bound::Time(0)).check(), Ok(()));
    }

    #[test]
    fn the_end_is_not_part_of_the_range() {
        let hour = order(Bound::Time(1000), Bound::Time(2000));
        let inside = |time| hour.contains(time);
        assert_eq!(
            [999, 1000, 1999, 2000].map(|time| inside(Some(time)) == Containment::Inside),
            [false, true, true, false]
        );
        assert_eq!(inside(None), Containment::Timeless);
        let offsets = order(Bound::Offset(0), Bound::Offset(9));
        assert_eq!(offsets.contains(None), Containment::Inside);
        let mixed = order(Bound::Offset(0), Bound::Time(2000));
        assert_eq!([1999, 2000].map(|time| mixed.contains(Some(time)) == Containment::Inside), [true, false]);
    }

    #[test]
    fn partitions_are_numbers_and_spans() {
        assert_eq!(parse_partitions("3, 0,5-7"), Ok([0, 3, 5, 6, 7].into()));
        for text in ["", "a", "-1", "3-1", "1,,2"] {
            assert!(parse_partitions(text).unwrap_err().contains(text), "{text}");
        }
        let spans: Vec<String> =
            (0..4_600).map(|n| format!("{}-{}", n * 10_000, n * 10_000 + 9_999)).collect();
        for text in ["0-99999999".to_owned(), spans.join(",")] {
            let refusal = parse_partitions(&text).unwrap_err();
            assert_eq!(refusal, "--partitions names more than 100000: no topic has so many");
        }
        assert_eq!(parse_partitions("0-99998").map(|all| all.len()), Ok(99_999));
    }

    #[test]
    fn replays_of_one_second_have_names_of_their_own() {
        let names: BTreeSet<String> = (0..10_000).map(|_| name(Timestamp::UNIX_EPOCH)).collect();
        assert_eq!(names.len(), 10_000);
    }
}
