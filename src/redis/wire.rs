//! Requests and replies as the functions want and give them; `functions.lua` describes both.

use std::time::Duration;

use ::redis::{Cmd, Pipeline};

use super::completions::Amend;
use crate::store::{
    Claim, ClaimRequest, Completed, Completion, End, Forget, Forgotten, Grant, Held, Inspected, Keyed, Known,
    KnownState, Release, Released, Renewal, Renewed, Request, Run, Stamp, StoreKey, millis,
};

/// More keys than this in one call keep the server from its other clients for milliseconds.
pub(super) const KEYS_PER_CALL: usize = 200;

/// One kind of request: the function that takes it, its arguments, and its reply.
pub(super) trait Call: Keyed + Sync {
    const FUNCTION: &'static str;
    type Answer: Send;

    fn args(&self, call: &mut Cmd);

    /// `None` when the reply is none of this function's.
    fn answer(reply: &str) -> Option<Self::Answer>;
}

/// The calls that carry these requests, in order.
pub(super) fn calls<R: Call>(requests: &[R]) -> Pipeline {
    let mut pipeline = Pipeline::with_capacity(requests.len().div_ceil(KEYS_PER_CALL));
    for chunk in requests.chunks(KEYS_PER_CALL) {
        pipeline.add_command(call(chunk.iter()));
    }
    pipeline
}

/// One call that carries these requests.
pub(super) fn call<'a, R: Call + 'a>(requests: impl ExactSizeIterator<Item = &'a R> + Clone) -> Cmd {
    let mut call = ::redis::cmd("FCALL");
    call.arg(R::FUNCTION).arg(requests.len());
    for request in requests.clone() {
        call.arg(request.key().name());
    }
    for request in requests {
        request.args(&mut call);
    }
    call
}

impl Call for ClaimRequest {
    const FUNCTION: &'static str = "oncewise_v2_claim";
    type Answer = Claim;

    fn args(&self, call: &mut Cmd) {
        call.arg(self.owner.as_str()).arg(millis(self.lease)).arg(retention(self));
        call.arg(self.max_deliveries).arg(hex(self.fingerprint)).arg(self.hop);
    }

    fn answer(reply: &str) -> Option<Claim> {
        let (letter, rest) = reply.split_at_checked(1)?;
        Some(match letter {
            "W" => Claim::Won(grant(rest)?),
            "T" => Claim::TakenOver(grant(rest)?),
            "S" => Claim::Spent(grant(rest)?),
            "B" => Claim::Busy { left: Duration::from_millis(rest.parse().ok()?) },
            "O" => Claim::BackingOff { left: Duration::from_millis(rest.parse().ok()?) },
            "D" => Claim::Done,
            "X" => Claim::Dead,
            "M" => Claim::Moved,
            // Functions of an earlier revision do not say it.
            "H" => Claim::Mismatch { hop: if rest.is_empty() { 0 } else { rest.parse().ok()? } },
            "E" => Claim::Foreign,
            _ => return None,
        })
    }
}

impl Call for Renewal {
    const FUNCTION: &'static str = "oncewise_v2_renew";
    type Answer = Renewed;

    fn args(&self, call: &mut Cmd) {
        held(&self.held, call);
        call.arg(millis(self.lease))
            .arg(retention(self))
            .arg(self.attempts)
            .arg(optional(self.first_failure_ms));
        let run = match self.run {
            Run::Unknown => "N",
            Run::InCrowd => "C",
            Run::Alone => "A",
        };
        call.arg(run).arg(hex(self.fingerprint)).arg(self.held.hop);
    }

    fn answer(reply: &str) -> Option<Renewed> {
        Some(match reply {
            "K" => Renewed::Kept,
            "S" => Renewed::Stolen,
            "Z" => Renewed::Finished,
            "R" => Renewed::Recreated,
            "E" => Renewed::Foreign,
            _ => return None,
        })
    }
}

impl Call for Completion {
    const FUNCTION: &'static str = "oncewise_v2_complete";
    type Answer = Completed;

    fn args(&self, call: &mut Cmd) {
        held(&self.held, call);
        let (end, attempts) = match self.end {
            End::Done => ("0", format!("{:02}", self.attempts.min(99))),
            End::Dead => ("1", format!("{:02}", self.attempts.min(99))),
            End::Moved => ("2", self.attempts.to_string()),
        };
        let first_failure_ms = self.first_failure_ms.filter(|_| self.end == End::Moved);
        call.arg(end).arg(retention(self)).arg(attempts).arg(hex(self.fingerprint));
        call.arg(self.held.hop).arg(optional(first_failure_ms));
    }

    fn answer(reply: &str) -> Option<Completed> {
        Some(match reply {
            "C" => Completed::Recorded,
            "A" => Completed::AlreadyFinished,
            "S" => Completed::Stolen,
            "L" => Completed::Lost,
            "E" => Completed::Foreign,
            _ => return None,
        })
    }
}

impl Call for Release {
    const FUNCTION: &'static str = "oncewise_v2_release";
    type Answer = Released;

    fn args(&self, call: &mut Cmd) {
        held(&self.held, call);
        call.arg(millis(self.delay))
            .arg(retention(self))
            .arg(self.attempts)
            .arg(optional(self.first_failure_ms))
            .arg(u8::from(self.in_doubt));
    }

    fn answer(reply: &str) -> Option<Released> {
        Some(match reply {
            "R" => Released::Released,
            "N" => Released::NotOurs,
            "Z" => Released::Finished,
            "E" => Released::Foreign,
            _ => return None,
        })
    }
}

impl Call for StoreKey {
    const FUNCTION: &'static str = "oncewise_v2_inspect";
    type Answer = Inspected;

    fn args(&self, _: &mut Cmd) {}

    fn answer(reply: &str) -> Option<Inspected> {
        let (letter, rest) = reply.split_at_checked(1)?;
        Some(match letter {
            "U" => Inspected::Unknown,
            "E" => Inspected::Foreign,
            _ => Inspected::Known(known(letter, rest)?),
        })
    }
}

impl Call for Forget {
    const FUNCTION: &'static str = "oncewise_v2_forget";
    type Answer = Forgotten;

    fn args(&self, call: &mut Cmd) {
        call.arg(&self.stamp.0);
    }

    fn answer(reply: &str) -> Option<Forgotten> {
        let (letter, rest) = reply.split_at_checked(1)?;
        Some(match letter {
            "F" => Forgotten::Forgotten,
            "B" => Forgotten::Busy { left: Duration::from_millis(rest.parse().ok()?) },
            "C" => Forgotten::Changed,
            "E" => Forgotten::Foreign,
            _ => return None,
        })
    }
}

impl Keyed for Amend {
    fn key(&self) -> &StoreKey {
        &self.key
    }
}

impl Call for Amend {
    const FUNCTION: &'static str = "oncewise_v2_amend";
    /// Whether it was done; otherwise somebody has changed it since.
    type Answer = bool;

    fn args(&self, call: &mut Cmd) {
        call.arg(&self.written).arg(&self.right).arg(self.keep);
    }

    fn answer(reply: &str) -> Option<bool> {
        match reply {
            "R" => Some(true),
            "N" => Some(false),
            _ => None,
        }
    }
}

fn known(letter: &str, rest: &str) -> Option<Known> {
    let fields: Vec<&str> = rest.split(':').collect();
    let [token, owner, left, attempts, takeovers, first, print, remembered, hop, stamp] = fields[..] else {
        return None;
    };
    let left = Duration::from_millis(left.parse().ok()?);
    let state = match letter {
        "P" => KnownState::Claimed { owner: owner.parse().ok()?, left },
        "F" => KnownState::Waiting { left },
        "D" => KnownState::Ended(End::Done),
        "X" => KnownState::Ended(End::Dead),
        "M" => KnownState::Ended(End::Moved),
        _ => return None,
    };
    Some(Known {
        state,
        token: number(token)?,
        attempts: number(attempts)?,
        takeovers: number(takeovers)?,
        first_failure_ms: number(first)?,
        fingerprint: match print {
            "" => None,
            hex => Some(u64::from_str_radix(hex, 16).ok()?),
        },
        hop: hop.parse().ok()?,
        // A key without an expiry answers a negative number.
        remembered: remembered.parse().ok().map(Duration::from_millis),
        stamp: Stamp(stamp.to_owned()),
    })
}

/// What the server leaves out is none; `None` when it is no number.
fn number<T: std::str::FromStr>(text: &str) -> Option<Option<T>> {
    if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) }
}

fn held(held: &Held, call: &mut Cmd) {
    call.arg(held.owner.as_str()).arg(held.token);
}

pub(super) fn retention(request: &impl Request) -> u64 {
    at_least_one(request.retention())
}

/// In milliseconds; the server takes no expiry of 0.
pub(super) fn at_least_one(retention: Duration) -> u64 {
    millis(retention).max(1)
}

fn hex(fingerprint: Option<u64>) -> String {
    fingerprint.map(|fingerprint| format!("{fingerprint:016x}")).unwrap_or_default()
}

fn optional(number: Option<i64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn grant(text: &str) -> Option<Grant> {
    let mut fields = text.split(':');
    let token = fields.next()?.parse().ok()?;
    let attempts = fields.next()?.parse().ok()?;
    let takeovers = fields.next()?.parse().ok()?;
    let first_failure_ms = number(fields.next()?)?;
    Some(Grant { token, attempts, takeovers, first_failure_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_read_whole_or_not_at_all() {
        let wanted = Grant { token: 17, attempts: 2, takeovers: 1, first_failure_ms: Some(-3) };
        assert_eq!(ClaimRequest::answer("T17:2:1:-3"), Some(Claim::TakenOver(wanted)));
        for reply in ["", "W", "W17:2:1", "W17:2:1:x", "Q17:2:1:", "B", "B-1", "ä"] {
            assert_eq!(ClaimRequest::answer(reply), None, "{reply:?}");
        }
    }
}
