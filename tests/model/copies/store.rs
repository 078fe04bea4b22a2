//! What the store keeps of one event that may be sent on, and what claims and ends make of it: ours, and four that are wrong.

/// What somebody who sends events on may get wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Ours,
    /// Whoever has sent an event on ends it, whoever holds it by then.
    MovesBlindly,
    /// A letter ends its event, whoever holds it by then.
    LettersEndAll,
    /// A letter ends what others hold of the same delivery, and not what was sent on since.
    LettersEndTheirDelivery,
    /// The claim is kept until the copy is there, and not given back before.
    KeepsWhileCopying,
    /// What was moved is open to its copies at once.
    MovesAtOnce,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Dead,
    Moved,
}

/// What is kept. `hop` is how often the event had been sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) enum Record {
    #[default]
    Absent,
    Leased {
        owner: u8,
        token: u8,
        hop: u8,
        has_run_out: bool,
    },
    Free {
        token: u8,
        hop: u8,
        is_due: bool,
    },
    Done,
    Dead {
        token: u8,
        hop: u8,
    },
    Moved {
        token: u8,
        hop: u8,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    Granted(u8),
    Duplicate,
    /// Somebody has it.
    Busy,
    NotDue,
}

/// Under which a delivery holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) owner: u8,
    pub(crate) token: u8,
    pub(crate) hop: u8,
}

impl Record {
    pub(crate) fn claim(self, owner: u8, hop: u8) -> (Self, Claim) {
        let grant = |token| (Self::Leased { owner, token, hop, has_run_out: false }, Claim::Granted(token));
        match self {
            Self::Absent => grant(1),
            Self::Done => (self, Claim::Duplicate),
            Self::Dead { token, hop: ended } | Self::Moved { token, hop: ended } if hop > ended => {
                grant(token + 1)
            }
            Self::Dead { .. } | Self::Moved { .. } => (self, Claim::Duplicate),
            Self::Leased { hop: known, .. } | Self::Free { hop: known, .. } if hop < known => {
                (self, Claim::Duplicate)
            }
            Self::Leased { has_run_out: false, .. } => (self, Claim::Busy),
            Self::Free { is_due: false, .. } => (self, Claim::NotDue),
            Self::Leased { token, .. } | Self::Free { token, .. } => grant(token + 1),
        }
    }

    pub(crate) fn is_held(self, held: Held) -> bool {
        matches!(self, Self::Leased { owner, token, .. } if (owner, token) == (held.owner, held.token))
    }

    /// Given back by this holder, and claimed by nobody since.
    pub(crate) fn is_given_back(self, held: Held) -> bool {
        matches!(self, Self::Free { token, .. } if token == held.token)
    }

    pub(crate) fn give_back(self, held: Held) -> Self {
        let Held { token, hop, .. } = held;
        if self.is_held(held) { Self::Free { token, hop, is_due: false } } else { self }
    }

    pub(crate) fn end(self, protocol: Protocol, held: Held, end: End) -> Self {
        let Held { token, hop, .. } = held;
        let ended = match end {
            End::Done => Self::Done,
            End::Dead => Self::Dead { token, hop },
            End::Moved => Self::Moved { token, hop },
        };
        match self {
            Self::Done => self,
            Self::Dead { .. } | Self::Moved { .. } if end == End::Done => ended,
            Self::Dead { hop: known, .. } | Self::Moved { hop: known, .. } => {
                if hop <= known {
                    self
                } else {
                    ended
                }
            }
            Self::Free { is_due, .. } if end == End::Moved && self.is_given_back(held) => {
                let waits = Self::Free { token, hop: hop + 1, is_due };
                if protocol == Protocol::MovesAtOnce { ended } else { waits }
            }
            _ if self.is_held(held) || end == End::Done => ended,
            Self::Leased { hop: known, .. } | Self::Free { hop: known, .. } => {
                let counts = match (end, protocol) {
                    (End::Moved, protocol) => protocol == Protocol::MovesBlindly,
                    (_, Protocol::LettersEndAll) => true,
                    (_, Protocol::LettersEndTheirDelivery) => hop >= known,
                    _ => self.is_given_back(held) && hop >= known,
                };
                if counts { ended } else { self }
            }
            Self::Absent => ended,
        }
    }
}
