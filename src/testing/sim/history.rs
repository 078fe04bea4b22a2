//! What happened in a schedule, in order.

use std::fmt;

use super::{check::Violation, plan::Id};
use crate::{
    store::{Completed, End, Renewed},
    testing::Disposition,
};

/// Names a process.
pub(super) type Pod = u32;

/// A partition and an offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(pub(super) usize, pub(super) i64);

/// Who holds a claim, of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pod: Pod,
    pub(super) owner: String,
    pub(super) id: Id,
    pub(super) token: u64,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Started(Pod),
    Died(Pod),
    Froze(Pod),
    Thawed(Pod),
    PutOut(Pod),
    Assigned {
        pod: Pod,
        partition: usize,
        from: i64,
    },
    Revoked {
        pod: Pod,
        partition: usize,
    },
    StoreLost,
    Trouble(&'static str),
    Written(Place, Option<Id>),
    Fetched(Pod, Place),
    Granted {
        to: Holder,
        until_ms: u64,
        is_taken_over: bool,
    },
    Renewed {
        by: Holder,
        until_ms: u64,
        answer: Renewed,
    },
    Released {
        by: Holder,
        is_free: bool,
    },
    Completed {
        by: Holder,
        end: End,
        answer: Completed,
    },
    Begun {
        by: (Pod, u64),
        id: Id,
        place: Place,
    },
    Effect {
        by: (Pod, u64),
        id: Id,
    },
    Answered {
        by: (Pod, u64),
        id: Id,
        is_ok: bool,
    },
    /// The broker has the letter; whoever wrote it has not heard.
    Letter {
        pod: Pod,
        place: Place,
        is_whole: bool,
    },
    /// Whoever wrote it has heard.
    LetterHeard {
        pod: Pod,
        place: Place,
        disposition: Disposition,
    },
    Committed {
        pod: Pod,
        partition: usize,
        offset: i64,
        is_owner: bool,
    },
    CommitRefused {
        pod: Pod,
    },
    Calm,
}

impl What {
    fn id(&self) -> Option<Id> {
        match self {
            Self::Granted { to: Holder { id, .. }, .. }
            | Self::Renewed { by: Holder { id, .. }, .. }
            | Self::Released { by: Holder { id, .. }, .. }
            | Self::Completed { by: Holder { id, .. }, .. }
            | Self::Begun { id, .. }
            | Self::Effect { id, .. }
            | Self::Answered { id, .. } => Some(*id),
            _ => None,
        }
    }

    fn partition(&self) -> Option<usize> {
        match self {
            Self::Assigned { partition, .. }
            | Self::Revoked { partition, .. }
            | Self::Committed { partition, .. } => Some(*partition),
            _ => self.place().map(|place| place.0),
        }
    }

    fn place(&self) -> Option<Place> {
        match self {
            Self::Written(place, _)
            | Self::Fetched(_, place)
            | Self::Begun { place, .. }
            | Self::Letter { place, .. }
            | Self::LetterHeard { place, .. } => Some(*place),
            _ => None,
        }
    }

    /// Whether it has to do with what was violated. What concerns neither an event nor a partition always has.
    fn concerns(&self, violation: &Violation) -> bool {
        match (self.id(), self.partition()) {
            (None, None) => true,
            (Some(id), _) if violation.id.is_some() => violation.id == Some(id),
            (_, Some(partition)) => match (violation.place, self.place()) {
                (Some(place), Some(own)) => place == own,
                (Some(place), None) => place.0 == partition,
                (None, _) => violation.id.is_none(),
            },
            _ => violation.id.is_none(),
        }
    }
}

/// What happened, each with its time in milliseconds since the beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct History(pub(super) Vec<(u64, What)>);

impl History {
    /// What has to do with the violation.
    pub(super) fn about(&self, violation: &Violation) -> Self {
        Self(self.0.iter().filter(|(_, what)| what.concerns(violation)).cloned().collect())
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(at, what)| writeln!(f, "  {at:>6} ms  {what:?}"))
    }
}
