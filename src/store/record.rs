//! One record and what each operation makes of it: pure functions, the time passed in.
//!
//! This is the memory store's half of the semantics; `redis/functions.lua` is the other, and the conformance suite
//! holds both against a model written independently of either.

use std::time::Duration;

use super::{
    Claim, ClaimRequest, Completed, Completion, End, Forget, Forgotten, Grant, Held, Known, KnownState,
    Owner, Release, Released, Renewal, Renewed, Run, Stamp, millis,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    token: u64,
    attempts: u32,
    takeovers: u32,
    /// Deaths of a process while nothing but this key was in flight.
    solo_deaths: u32,
    first_failure_ms: Option<i64>,
    fingerprint: Option<u64>,
    /// How often the event had been sent on when it was claimed.
    hop: u32,
    state: State,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Leased { owner: Owner, answer: Answer, run: Run, until_ms: u64 },
    Free { due_ms: u64, in_doubt: bool },
    Ended(End),
}

/// How a running claim was granted. It is kept because a repeated request has to hear the same: an asker whose first
/// reply was lost must not miss that the effect may have happened already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Won,
    TakenOver,
    Spent,
}

impl Record {
    /// What took effect under this token in so many attempts, and has nothing else to tell.
    pub(crate) fn done(token: u64, attempts: u32) -> Self {
        Self {
            token,
            attempts,
            takeovers: 0,
            solo_deaths: 0,
            first_failure_ms: None,
            fingerprint: None,
            hop: 0,
            state: State::Ended(End::Done),
        }
    }

    /// Its token and attempts, if it has nothing else to tell.
    pub(crate) fn as_done(&self) -> Option<(u64, u32)> {
        let like = Self::done(self.token, self.attempts);
        (*self == like).then_some((self.token, self.attempts))
    }

    /// The answer, and what to write, if anything.
    pub(crate) fn claim(old: Option<&Self>, request: &ClaimRequest, now_us: u64) -> (Option<Self>, Claim) {
        let now_ms = now_us / 1_000;
        let until_ms = now_ms + millis(request.lease);
        let leased =
            |answer| State::Leased { owner: request.owner.clone(), answer, run: Run::Unknown, until_ms };
        let Some(old) = old else {
            let fresh = Self {
                token: now_us,
                attempts: 0,
                takeovers: 0,
                solo_deaths: 0,
                first_failure_ms: None,
                fingerprint: request.fingerprint,
                hop: request.hop,
                state: leased(Answer::Won),
            };
            return fresh.granted(Answer::Won);
        };
        if let Some(next) = old.reopened(request, now_us) {
            return Self { state: leased(Answer::Won), ..next }.granted(Answer::Won);
        }
        // What has ended is written again as it is, to be remembered from now on.
        let ended = matches!(old.state, State::Ended(_)).then(|| old.clone());
        if differ(old.fingerprint, request.fingerprint) {
            return (ended, Claim::Mismatch { hop: old.known_hop() });
        }
        let mut next = old.clone();
        next.fingerprint = old.fingerprint.or(request.fingerprint);
        match &old.state {
            State::Ended(End::Done) => (ended, Claim::Done),
            State::Ended(End::Dead) => (ended, Claim::Dead),
            State::Ended(End::Moved) => (ended, Claim::Moved),
            _ if request.hop < old.hop => (None, Claim::Moved),
            State::Leased { owner, answer, run, .. } if *owner == request.owner => {
                let answer = *answer;
                next.state = State::Leased { owner: owner.clone(), answer, run: *run, until_ms };
                next.granted(answer)
            }
            State::Leased { until_ms, .. } if now_ms < *until_ms => {
                (None, Claim::Busy { left: Duration::from_millis(until_ms - now_ms) })
            }
            State::Free { due_ms, .. } if now_ms < *due_ms => {
                (None, Claim::BackingOff { left: Duration::from_millis(due_ms - now_ms) })
            }
            open => {
                let mut answer = Answer::Won;
                if let State::Leased { run, .. } = open {
                    answer = Answer::TakenOver;
                    next.takeovers += u32::from(old.takeovers == 0 || *run != Run::Unknown);
                    next.solo_deaths += u32::from(*run == Run::Alone);
                }
                if let State::Free { in_doubt: true, .. } = open {
                    answer = Answer::TakenOver;
                }
                if next.solo_deaths >= request.max_deliveries.max(1) {
                    answer = Answer::Spent;
                }
                next.token = now_us.max(old.token + 1);
                next.hop = request.hop;
                next.state = leased(answer);
                next.granted(answer)
            }
        }
    }

    /// What was moved or dead-lettered, once it is sent on: the dead begins anew, and its content may be another.
    fn reopened(&self, request: &ClaimRequest, now_us: u64) -> Option<Self> {
        let (attempts, first_failure_ms) = match self.state {
            _ if request.hop <= self.hop => return None,
            State::Ended(End::Dead) => (0, None),
            State::Ended(End::Moved) if !differ(self.fingerprint, request.fingerprint) => {
                (self.attempts, self.first_failure_ms)
            }
            _ => return None,
        };
        Some(Self {
            token: now_us.max(self.token + 1),
            attempts,
            takeovers: 0,
            solo_deaths: 0,
            first_failure_ms,
            fingerprint: request.fingerprint.or(self.fingerprint),
            hop: request.hop,
            state: self.state.clone(),
        })
    }

    /// Whether this end of its event changes nothing any more.
    fn binds(&self, completion: &Completion) -> bool {
        match self.state {
            State::Ended(End::Done) => true,
            State::Ended(_) if completion.end == End::Done => false,
            State::Ended(_) => completion.held.hop <= self.hop,
            _ => false,
        }
    }

    /// Whether an end has to respect what somebody else has begun: that an event was sent on, or has a letter, says
    /// nothing about what runs since. That it took effect does.
    fn withstands(&self, completion: &Completion) -> bool {
        match completion.end {
            End::Done => false,
            // Nobody has begun anything since it was given back.
            End::Dead => !self.is_given_back(&completion.held) || completion.held.hop < self.hop,
            End::Moved => true,
        }
    }

    /// Whether its event is finished.
    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    pub(crate) fn renew(old: Option<&Self>, renewal: &Renewal, now_us: u64) -> (Option<Self>, Renewed) {
        let until_ms = now_us / 1_000 + millis(renewal.lease);
        let owner = renewal.held.owner.clone();
        let (mut next, answer, renewed) = match old.map(|old| (old, &old.state)) {
            None => (Self::lost(&renewal.held), Answer::Won, Renewed::Recreated),
            Some((_, State::Ended(_))) => return (None, Renewed::Finished),
            Some((old, State::Leased { answer, .. })) if old.is_held(&renewal.held) => {
                (old.clone(), *answer, Renewed::Kept)
            }
            Some(_) => return (None, Renewed::Stolen),
        };
        next.attempts = renewal.attempts;
        next.first_failure_ms = renewal.first_failure_ms;
        next.fingerprint = renewal.fingerprint.or(next.fingerprint);
        next.state = State::Leased { owner, answer, run: renewal.run, until_ms };
        (Some(next), renewed)
    }

    pub(crate) fn complete(old: Option<&Self>, completion: &Completion) -> (Option<Self>, Completed) {
        let held = &completion.held;
        let (mut next, completed) = match old {
            None => (Self::lost(held), Completed::Lost),
            Some(old) if old.binds(completion) => {
                let ours = old.token == held.token;
                return (None, if ours { Completed::Recorded } else { Completed::AlreadyFinished });
            }
            // It waits until it is due, for its copy, too.
            Some(old) if completion.end == End::Moved && old.is_given_back(held) => {
                return (Some(Self { hop: held.hop.saturating_add(1), ..old.clone() }), Completed::Recorded);
            }
            Some(old) if old.is_held(held) => (old.clone(), Completed::Recorded),
            Some(old) if !old.is_ended() && old.withstands(completion) => return (None, Completed::Stolen),
            Some(old) => (old.clone(), Completed::Stolen),
        };
        next.token = held.token;
        next.hop = held.hop;
        next.attempts = completion.attempts;
        next.first_failure_ms = completion.first_failure_ms.filter(|_| completion.end == End::Moved);
        next.fingerprint = completion.fingerprint.or(next.fingerprint);
        next.state = State::Ended(completion.end);
        (Some(next), completed)
    }

    pub(crate) fn release(old: Option<&Self>, release: &Release, now_us: u64) -> (Option<Self>, Released) {
        let Some(old) = old else { return (None, Released::NotOurs) };
        match &old.state {
            State::Ended(_) => (None, Released::Finished),
            State::Free { .. } if old.token == release.held.token => (None, Released::Released),
            State::Leased { .. } if old.is_held(&release.held) => {
                let mut next = old.clone();
                next.attempts = release.attempts;
                next.first_failure_ms = release.first_failure_ms;
                next.state = State::Free {
                    due_ms: now_us / 1_000 + millis(release.delay),
                    in_doubt: release.in_doubt,
                };
                (Some(next), Released::Released)
            }
            _ => (None, Released::NotOurs),
        }
    }

    pub(crate) fn inspect(&self, now_ms: u64, remembered: Duration) -> Known {
        let left = |until_ms: &u64| Duration::from_millis(until_ms.saturating_sub(now_ms));
        let state = match &self.state {
            State::Leased { owner, until_ms, .. } => {
                KnownState::Claimed { owner: owner.clone(), left: left(until_ms) }
            }
            State::Free { due_ms, .. } => KnownState::Waiting { left: left(due_ms) },
            State::Ended(end) => KnownState::Ended(*end),
        };
        let open = !matches!(self.state, State::Ended(_));
        let to_come = !matches!(self.state, State::Ended(End::Done | End::Dead));
        Known {
            state,
            token: Some(self.token),
            attempts: Some(if to_come { self.attempts } else { self.attempts.min(99) }),
            takeovers: open.then_some(self.takeovers),
            first_failure_ms: self.first_failure_ms.filter(|_| to_come),
            fingerprint: self.fingerprint,
            hop: self.known_hop(),
            remembered: Some(remembered),
            stamp: self.stamp(),
        }
    }

    /// Whether this record may be forgotten.
    pub(crate) fn forget(&self, request: &Forget, now_ms: u64) -> Forgotten {
        match &self.state {
            State::Leased { until_ms, .. } if now_ms < *until_ms => {
                Forgotten::Busy { left: Duration::from_millis(until_ms - now_ms) }
            }
            _ if self.stamp() != request.stamp => Forgotten::Changed,
            _ => Forgotten::Forgotten,
        }
    }

    /// Of what took effect nobody needs it.
    fn known_hop(&self) -> u32 {
        if matches!(self.state, State::Ended(End::Done)) { 0 } else { self.hop }
    }

    fn stamp(&self) -> Stamp {
        Stamp(format!("{self:?}"))
    }

    /// Lets a running lease or back-off be over.
    pub(crate) fn run_out(&mut self) {
        match &mut self.state {
            State::Leased { until_ms: deadline, .. } | State::Free { due_ms: deadline, .. } => *deadline = 0,
            State::Ended(_) => {}
        }
    }

    fn is_held(&self, held: &Held) -> bool {
        self.token == held.token && matches!(&self.state, State::Leased { owner, .. } if *owner == held.owner)
    }

    /// Who moves an event has given it back before, until it is due.
    fn is_given_back(&self, held: &Held) -> bool {
        self.token == held.token && matches!(self.state, State::Free { .. })
    }

    /// What can be said of a claim that the store has lost; the caller fills in the rest.
    fn lost(held: &Held) -> Self {
        Self {
            token: held.token,
            attempts: 0,
            takeovers: 0,
            solo_deaths: 0,
            first_failure_ms: None,
            fingerprint: None,
            hop: held.hop,
            state: State::Free { due_ms: 0, in_doubt: false },
        }
    }

    fn granted(self, answer: Answer) -> (Option<Self>, Claim) {
        let grant = Grant {
            token: self.token,
            attempts: self.attempts,
            takeovers: self.takeovers,
            first_failure_ms: self.first_failure_ms,
        };
        let claim = match answer {
            Answer::Won => Claim::Won(grant),
            Answer::TakenOver => Claim::TakenOver(grant),
            Answer::Spent => Claim::Spent(grant),
        };
        (Some(self), claim)
    }
}

/// Whether two fingerprints are known and not the same.
fn differ(one: Option<u64>, other: Option<u64>) -> bool {
    matches!((one, other), (Some(one), Some(other)) if one != other)
}
