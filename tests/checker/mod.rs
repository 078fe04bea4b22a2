//! Replays what producers, handlers, workers and Kafka have left behind, and says of each invariant whether it held.
//!
//! It shares no code with the workers and talks to nobody: all it knows stands in files (see [`inputs`]). What it cannot
//! know it calls unknown; an outcome that nobody has heard of is never taken for a failure.

pub mod inputs;

mod claims;
mod effects;
mod known;
mod letters;
mod liveness;
mod offsets;

use std::{fmt, path::Path};

use inputs::Inputs;
use known::Known;

/// What became of one invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing speaks against it.
    Held,
    /// Where it was violated, one line for each.
    Violated(Vec<String>),
    /// It cannot be said, and why.
    Unknown(String),
}

/// What became of all of them.
#[derive(Debug)]
pub struct Report(pub Vec<(Invariant, Verdict)>);

/// A name, and what it says.
pub type Invariant = (&'static str, &'static str);

type Check = fn(&Known<'_>) -> Verdict;

const INVARIANTS: &[(Invariant, Check)] = &[
    (
        ("I1", "below a committed offset everything has taken effect, has a letter or was skipped"),
        offsets::nothing_passed,
    ),
    (("I2", "offsets are committed by their owner alone, and only move on"), offsets::by_their_owner),
    (("I3", "effects of an event stay within the bound"), effects::within_the_bound),
    (("I4", "an event ends once"), claims::ended_once),
    (("I5", "an event has one claim at a time, and tokens grow"), claims::one_at_a_time),
    (("I6", "a dead event has its letter, and no more than crashes allow"), letters::as_many_as_allowed),
    (("I7", "events of one key take effect in their order"), effects::in_order),
    (("I8", "letters are their records byte for byte"), letters::byte_for_byte),
    (("L1", "in the end nothing is left and nothing acknowledged is lost"), liveness::nothing_left),
    (("L2", "no partition stands still for 30 s while records wait"), liveness::no_stall),
];

/// Reads a folder of evidence and judges it.
///
/// # Errors
/// A file that is there and cannot be read as what it should be.
pub fn check(folder: &Path) -> Result<Report, String> {
    let inputs = Inputs::read(folder)?;
    let known = Known::of(&inputs);
    Ok(Report(INVARIANTS.iter().map(|(invariant, check)| (*invariant, check(&known))).collect()))
}

impl Report {
    /// The invariants that were violated.
    pub fn violated(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Violated(_)))
    }

    /// The invariants of which nothing can be said.
    pub fn unknown(&self) -> Vec<&'static str> {
        self.named(|verdict| matches!(verdict, Verdict::Unknown(_)))
    }

    fn named(&self, wanted: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        self.0.iter().filter(|(_, verdict)| wanted(verdict)).map(|((name, _), _)| *name).collect()
    }
}

/// So many places are shown of each invariant that was violated.
const SHOWN: usize = 10;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((name, says), verdict) in &self.0 {
            match verdict {
                Verdict::Held => writeln!(f, "{name}  held      {says}")?,
                Verdict::Unknown(why) => writeln!(f, "{name}  unknown   {says}: {why}")?,
                Verdict::Violated(places) => {
                    writeln!(f, "{name}  VIOLATED  {says}")?;
                    places.iter().take(SHOWN).try_for_each(|place| writeln!(f, "      {place}"))?;
                    if places.len() > SHOWN {
                        writeln!(f, "      and {} more", places.len() - SHOWN)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Verdict {
    /// Held, unless there are such places.
    fn unless(places: Vec<String>) -> Self {
        if places.is_empty() { Self::Held } else { Self::Violated(places) }
    }

    /// The same where not everything is known that would have to be.
    fn unless_or(places: Vec<String>, gap: Option<String>) -> Self {
        match (Self::unless(places), gap) {
            (Self::Held, Some(gap)) => Self::Unknown(gap),
            (verdict, _) => verdict,
        }
    }
}
