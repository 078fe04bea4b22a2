//! What a store should answer, written for obviousness and independently of every store: one key is a handful of
//! plain facts, and each operation is a list of questions about them, asked in the order of the contract.

use std::time::Duration;

use super::bench::{HOUR, Wrong, holds, same};
use super::script::{ClaimItem, CompleteItem, ReleaseItem, RenewItem};
use crate::store::{
    Claim, Completed, End, Forgotten, Grant, Held, Inspected, Known, KnownState, Layout, Owner, Released,
    Renewed, Run,
};

/// What happened to one key. Only the tokens are learnt from the store, for it alone chooses them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Key {
    known: bool,
    unreadable: bool,
    ended: Option<End>,
    /// The owner whose claim runs or has run out; `None` while the key is free.
    holder: Option<usize>,
    /// The lease or the back-off is over.
    over: bool,
    /// By the back door: then it is another record than one whose time has passed.
    by_force: bool,
    token: u64,
    /// What the holder was told: W, T or S.
    told: char,
    run: Option<Run>,
    /// It was given back in doubt.
    in_doubt: bool,
    deaths: u32,
    takeovers: u32,
    attempts: u32,
    first_failure_ms: Option<i64>,
    fingerprint: Option<u64>,
    /// How often it had been sent on when it was last claimed, or ended.
    hop: u32,
}

impl Key {
    pub(super) fn expire(&mut self) {
        // What is unknown or has ended has nothing that could run out.
        if self.known && self.ended.is_none() {
            (self.over, self.by_force) = (true, true);
        }
    }

    pub(super) fn lose(&mut self) {
        *self = Self::default();
    }

    pub(super) fn corrupt(&mut self) {
        self.unreadable = true;
    }

    /// Checks the answer to a claim; the token it granted, if any.
    pub(super) fn claim(&mut self, item: &ClaimItem, got: Claim) -> Result<Option<u64>, Wrong> {
        if self.unreadable {
            return same(got, Claim::Foreign).map(|()| None);
        }
        let differs =
            self.fingerprint.is_some() && item.fingerprint.is_some_and(|it| Some(it) != self.fingerprint);
        // Sent on since it was moved or dead-lettered: it is open again.
        let reopens = item.hop > self.hop
            && (self.ended == Some(End::Dead) || self.ended == Some(End::Moved) && !differs);
        if reopens {
            if self.ended == Some(End::Dead) {
                (self.attempts, self.first_failure_ms) = (0, None);
            }
            (self.ended, self.holder, self.over) = (None, None, true);
            (self.deaths, self.takeovers, self.in_doubt) = (0, 0, false);
            self.fingerprint = item.fingerprint.or(self.fingerprint);
        } else if differs {
            let hop = if self.ended == Some(End::Done) { 0 } else { self.hop };
            return same(got, Claim::Mismatch { hop }).map(|()| None);
        }
        match self.ended {
            Some(End::Done) => return same(got, Claim::Done).map(|()| None),
            Some(End::Dead) => return same(got, Claim::Dead).map(|()| None),
            Some(End::Moved) => return same(got, Claim::Moved).map(|()| None),
            None if self.known && item.hop < self.hop => return same(got, Claim::Moved).map(|()| None),
            None => {}
        }
        let repeated = self.known && self.holder == Some(item.owner);
        if self.known && !repeated && !self.over {
            return match (self.holder, got) {
                (Some(_), Claim::Busy { left }) | (None, Claim::BackingOff { left }) => {
                    holds(!left.is_zero() && left <= HOUR, format!("{left:?} are left")).map(|()| None)
                }
                _ => Err(Wrong(format!("expected to wait, got {got:?}"))),
            };
        }
        if !repeated {
            self.told = if self.holder.is_some() || self.in_doubt { 'T' } else { 'W' };
            if self.holder.is_some() {
                let suspect = self.takeovers == 0 || self.run.is_some_and(|run| run != Run::Unknown);
                self.takeovers += if suspect { 1 } else { 0 };
                self.deaths += if self.run == Some(Run::Alone) { 1 } else { 0 };
            }
            let allowed = if item.max_deliveries == 0 { 1 } else { item.max_deliveries };
            if self.deaths >= allowed {
                self.told = 'S';
            }
            (self.run, self.in_doubt) = (Some(Run::Unknown), false);
        }
        let (told, grant) = match got {
            Claim::Won(grant) => ('W', grant),
            Claim::TakenOver(grant) => ('T', grant),
            Claim::Spent(grant) => ('S', grant),
            _ => return Err(Wrong(format!("expected to be granted ({}), got {got:?}", self.told))),
        };
        same(told, self.told)?;
        let token = if repeated { self.token } else { grant.token };
        holds(repeated || token > self.token, format!("token {token} does not grow beyond {}", self.token))?;
        let (attempts, takeovers, first_failure_ms) = (self.attempts, self.takeovers, self.first_failure_ms);
        same(grant, Grant { token, attempts, takeovers, first_failure_ms })?;
        (self.known, self.holder, self.token, self.over) = (true, Some(item.owner), token, false);
        (self.by_force, self.fingerprint) = (false, self.fingerprint.or(item.fingerprint));
        self.hop = if repeated { self.hop } else { item.hop };
        Ok((!repeated).then_some(token))
    }

    pub(super) fn renew(&mut self, item: &RenewItem, held: &Held, got: Renewed) -> Result<(), Wrong> {
        let token = held.token;
        let want = if self.unreadable {
            Renewed::Foreign
        } else if !self.known {
            Renewed::Recreated
        } else if self.ended.is_some() {
            Renewed::Finished
        } else if self.ours(item.holder.owner, token) {
            Renewed::Kept
        } else {
            Renewed::Stolen
        };
        if want == Renewed::Recreated {
            (self.known, self.holder, self.token, self.told) = (true, Some(item.holder.owner), token, 'W');
            self.hop = held.hop;
        }
        if want == Renewed::Recreated || want == Renewed::Kept {
            (self.over, self.by_force, self.run) = (false, false, Some(item.run));
            self.attempts = item.attempts;
            self.first_failure_ms = item.first_failure_ms;
            self.fingerprint = item.fingerprint.or(self.fingerprint);
        }
        same(got, want)
    }

    pub(super) fn complete(
        &mut self,
        item: &CompleteItem,
        held: &Held,
        got: Completed,
        short: bool,
    ) -> Result<(), Wrong> {
        let token = held.token;
        // What was sent on since it was moved or dead-lettered may end anew, and what took effect was neither.
        let outdated = match self.ended {
            None | Some(End::Done) => false,
            Some(End::Dead | End::Moved) => held.hop > self.hop || item.end == End::Done,
        };
        if short && got == Completed::Recorded && !self.unreadable && self.ended == Some(End::Done) {
            return holds(alike(self.token, token), format!("{token} is taken for {}", self.token));
        }
        let is_open = self.known && self.ended.is_none();
        // Who moves an event has given it back before, until it is due.
        let given_back = is_open && self.holder.is_none() && self.token == token;
        if item.end == End::Moved && given_back && !self.unreadable {
            // It waits until it is due, and from now on for its copy alone.
            self.hop = held.hop + 1;
            return same(got, Completed::Recorded);
        }
        let ours = self.ours(item.holder.owner, token);
        let want = if self.unreadable {
            Completed::Foreign
        } else if !self.known {
            Completed::Lost
        } else if outdated {
            Completed::Stolen
        } else if self.ended.is_some() && self.token == token {
            Completed::Recorded
        } else if self.ended.is_some() {
            Completed::AlreadyFinished
        } else if ours {
            Completed::Recorded
        } else {
            Completed::Stolen
        };
        // What somebody else has begun is ended by an effect alone, what nobody has begun by its letter, too.
        let respected = is_open
            && !ours
            && match item.end {
                End::Done => false,
                End::Dead => !given_back || held.hop < self.hop,
                End::Moved => true,
            };
        if !self.unreadable && (self.ended.is_none() || outdated) && !respected {
            self.hop = held.hop;
            self.first_failure_ms = if item.end == End::Moved { item.first_failure_ms } else { None };
            (self.known, self.ended, self.token, self.holder) = (true, Some(item.end), token, None);
            (self.attempts, self.fingerprint) = (item.attempts, item.fingerprint.or(self.fingerprint));
        }
        same(got, want)
    }

    pub(super) fn release(&mut self, item: &ReleaseItem, token: u64, got: Released) -> Result<(), Wrong> {
        let want = if self.unreadable {
            Released::Foreign
        } else if self.ended.is_some() {
            Released::Finished
        } else if self.ours(item.holder.owner, token) {
            (self.holder, self.over, self.by_force) = (None, !item.delayed, false);
            (self.run, self.in_doubt) = (Some(Run::Unknown), item.in_doubt);
            (self.attempts, self.first_failure_ms) = (item.attempts, item.first_failure_ms);
            Released::Released
        } else if self.known && self.holder.is_none() && self.token == token {
            Released::Released
        } else {
            Released::NotOurs
        };
        same(got, want)
    }

    pub(super) fn inspect(
        &self,
        owners: &[Owner],
        got: &Inspected,
        longest: Duration,
        short: bool,
    ) -> Result<(), Wrong> {
        let known = match got {
            Inspected::Known(known) if self.known && !self.unreadable => known,
            got => {
                let want = if self.unreadable { Inspected::Foreign } else { Inspected::Unknown };
                holds(self.unreadable || !self.known, format!("expected to be known, got {got:?}"))?;
                return same(got, &want);
            }
        };
        let open = self.ended.is_none();
        let left = match (&known.state, self.ended, self.holder) {
            (KnownState::Ended(end), Some(ended), _) => {
                return same(*end, ended).and(self.figures(known, longest, short));
            }
            (KnownState::Claimed { owner, left }, None, Some(holder)) => {
                same(owner, &owners[holder])?;
                left
            }
            (KnownState::Waiting { left }, None, None) => left,
            (state, ..) => return Err(Wrong(format!("{self:?} is shown as {state:?}"))),
        };
        holds(open && left.is_zero() == self.over && *left <= HOUR, format!("{left:?} are left"))?;
        self.figures(known, longest, short)
    }

    fn figures(&self, known: &Known, longest: Duration, short: bool) -> Result<(), Wrong> {
        let open = self.ended.is_none();
        let to_come = open || self.ended == Some(End::Moved);
        if open || !short || known.token.is_some() || self.fingerprint.is_some() {
            same((known.token, known.attempts), (Some(self.token), Some(self.attempts)))?;
        }
        same(known.takeovers, open.then_some(self.takeovers))?;
        same(known.first_failure_ms, self.first_failure_ms.filter(|_| to_come))?;
        same(known.hop, if self.ended == Some(End::Done) { 0 } else { self.hop })?;
        same(known.fingerprint, self.fingerprint)?;
        let remembered = known.remembered.is_some_and(|kept| !kept.is_zero() && kept <= longest);
        holds(remembered, format!("remembered for {:?}", known.remembered))
    }

    /// Checks the answer to a request to forget what was seen as `seen`.
    pub(super) fn forget(&mut self, seen: &Self, got: Forgotten, short: bool) -> Result<(), Wrong> {
        if let Forgotten::Busy { left } = got {
            let busy = self.known && self.ended.is_none() && self.holder.is_some() && !self.over;
            return holds(busy && !self.unreadable && left <= HOUR, format!("busy for {left:?}: {self:?}"));
        }
        let want = if self.unreadable {
            Forgotten::Foreign
        } else if self.known && self.ended.is_none() && self.holder.is_some() && !self.over {
            return Err(Wrong(format!("expected Busy, got {got:?}")));
        } else if self.known
            && self != seen
            && !(short && got == Forgotten::Forgotten && self.ends_like(seen))
        {
            Forgotten::Changed
        } else {
            self.lose();
            Forgotten::Forgotten
        };
        same(got, want)
    }

    /// Whether both are ends that look the same in short.
    fn ends_like(&self, other: &Self) -> bool {
        self.ended.is_some() && self.ended == other.ended && alike(self.token, other.token)
    }

    fn ours(&self, owner: usize, token: u64) -> bool {
        self.known && self.holder == Some(owner) && self.token == token
    }
}

/// Whether an end in short cannot tell these tokens apart.
fn alike(one: u64, other: u64) -> bool {
    one % Layout::SHORT_TOKENS == other % Layout::SHORT_TOKENS
}
