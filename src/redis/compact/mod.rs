//! What the hot path has to know of ends that are kept in short, which [`Layout::Compact`](crate::store::Layout) allows.
//!
//! `pages.lua` keeps them, apart from the keys of the events. So a key that is new says nothing yet where any are kept:
//! there its page is looked at before the claim is granted. Whether any are kept tells a sign that is written with the
//! first of them; it is read behind the claims, for an end that was kept before a claim was made is seen then. A store
//! that has seen the sign has all claims confirmed in the round trip in which they are made.
//!
//! In a cluster, where no function may reach a key of another slot, the table of a bucket is the sign for that bucket.

use crate::redis::claims::{Refusal, To};
use crate::redis::completions;
use crate::redis::fault::redirect_of;
use crate::redis::resp::{Commands, Reply};
use crate::redis::wire::{Call, KEYS_PER_CALL, retention};
use crate::store::{Claim, ClaimRequest, Completed, Completion, Keyed, StoreKey};

use std::collections::{BTreeMap, HashSet};

use ::redis::Cmd;

/// What is known of the ends that may stand in the way of the claims of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Confirmed {
    /// There are none.
    Unneeded,
    /// There are some, and nobody has looked for these yet.
    Missing,
    /// For each request how its event has ended, if it has.
    Ends(Vec<Option<Claim>>),
    /// The sign is at another node of the cluster.
    Elsewhere,
}

/// Asks behind the claims of a batch whether ends are kept in short and, where that is known already, which.
pub(super) fn write(commands: &mut Commands, requests: &[ClaimRequest], to: To) {
    let aware = match to {
        To::One { aware, .. } => aware,
        To::Node { asking } => return write_signs(commands, requests, asking),
    };
    for prefix in prefixes(requests) {
        let sign = [prefix.as_bytes(), b":compact"];
        commands.begin(2);
        commands.raw(b"$3\r\nGET\r\n");
        commands.word(sign.iter().map(|part| part.len()).sum(), |bytes| {
            sign.iter().for_each(|part| bytes.extend_from_slice(part));
        });
    }
    for chunk in requests.chunks(KEYS_PER_CALL).filter(|_| aware) {
        commands.begin(3 + 2 * chunk.len());
        for word in ["FCALL", Confirm::FUNCTION, &chunk.len().to_string()] {
            commands.word(word.len(), |bytes| bytes.extend_from_slice(word.as_bytes()));
        }
        for request in chunk {
            commands.word(request.key.name_len(), |bytes| request.key.write_name(bytes));
        }
        for request in chunk {
            let retention = retention(request).to_string();
            commands.word(retention.len(), |bytes| bytes.extend_from_slice(retention.as_bytes()));
        }
    }
}

fn write_signs(commands: &mut Commands, requests: &[ClaimRequest], asking: bool) {
    for sign in signs(requests.iter().map(|request| &request.key)).keys() {
        if asking {
            commands.command(&[b"ASKING"]);
        }
        commands.command(&[b"GET", sign.as_bytes()]);
    }
}

/// Where a cluster keeps the signs for these keys, and the bucket of each.
pub(super) fn signs<'a>(keys: impl Iterator<Item = &'a StoreKey>) -> BTreeMap<String, u8> {
    // A batch has far more keys than buckets.
    let mut seen = HashSet::new();
    let first = keys.filter(|key| seen.insert((key.bucket(), key.prefix())));
    first.map(|key| (format!("{}:{{{}}}:pages", key.prefix(), key.bucket()), key.bucket())).collect()
}

/// Reads the replies to that.
pub(super) fn read<'a>(
    mut replies: impl Iterator<Item = Reply<'a>>,
    requests: &[ClaimRequest],
    to: To,
) -> Result<Confirmed, Refusal> {
    let aware = match to {
        To::One { aware, .. } => aware,
        To::Node { .. } => return read_signs(replies),
    };
    let mut signed = false;
    for reply in replies.by_ref().take(prefixes(requests).count()) {
        match reply {
            Reply::Error(error) if !error.starts_with(b"WRONGTYPE") => return Err(Refusal(error.to_vec())),
            reply => signed |= reply != Reply::Nothing,
        }
    }
    if !signed {
        return Ok(Confirmed::Unneeded);
    }
    let mut ends = Vec::with_capacity(if aware { requests.len() } else { 0 });
    for reply in replies {
        let Reply::Array(elements) = reply else { return Ok(Confirmed::Missing) };
        for element in elements {
            let Reply::Text(text) = element else { return Ok(Confirmed::Missing) };
            let Some(end) = std::str::from_utf8(text).ok().and_then(Confirm::answer) else {
                return Ok(Confirmed::Missing);
            };
            ends.push(end);
        }
    }
    Ok(if ends.len() == requests.len() { Confirmed::Ends(ends) } else { Confirmed::Missing })
}

fn read_signs<'a>(replies: impl Iterator<Item = Reply<'a>>) -> Result<Confirmed, Refusal> {
    let mut confirmed = Confirmed::Unneeded;
    for reply in replies {
        match reply {
            Reply::Nothing => {}
            Reply::Error(error) if redirect_of(error).is_some() => confirmed = Confirmed::Elsewhere,
            Reply::Error(error) if !error.starts_with(b"WRONGTYPE") => return Err(Refusal(error.to_vec())),
            _ => return Ok(Confirmed::Missing),
        }
    }
    Ok(confirmed)
}

/// Of requests in a row with one prefix, that prefix.
fn prefixes(requests: &[ClaimRequest]) -> impl Iterator<Item = &str> {
    requests.chunk_by(|one, other| one.key.prefix() == other.key.prefix()).map(|some| some[0].key.prefix())
}

/// Asks whether an event has ended after all, whose key was new.
#[derive(Debug, Clone)]
pub(super) struct Confirm<'a>(pub(super) &'a ClaimRequest);

impl Keyed for Confirm<'_> {
    fn key(&self) -> &StoreKey {
        &self.0.key
    }
}

impl Call for Confirm<'_> {
    const FUNCTION: &'static str = "oncewise_v2_confirm";
    /// How it has ended, if it has.
    type Answer = Option<Claim>;

    fn args(&self, call: &mut Cmd) {
        call.arg(retention(self.0));
    }

    fn answer(reply: &str) -> Option<Self::Answer> {
        Some(match reply {
            "W" => None,
            "D" => Some(Claim::Done),
            "X" => Some(Claim::Dead),
            _ => return None,
        })
    }
}

/// Asks whether an event had ended before its completion, which found no key.
#[derive(Debug)]
pub(super) struct Contest<'a> {
    completion: &'a Completion,
    /// What the completion has written.
    written: Vec<u8>,
}

impl<'a> Contest<'a> {
    pub(super) fn of(completion: &'a Completion) -> Self {
        let mut written = Vec::new();
        completions::value_of(completion, &mut written);
        Self { completion, written }
    }
}

impl Keyed for Contest<'_> {
    fn key(&self) -> &StoreKey {
        self.completion.key()
    }
}

impl Call for Contest<'_> {
    const FUNCTION: &'static str = "oncewise_v2_contest";
    /// What is to be answered instead, if anything.
    type Answer = Option<Completed>;

    fn args(&self, call: &mut Cmd) {
        call.arg(self.completion.held.token).arg(&self.written);
    }

    fn answer(reply: &str) -> Option<Self::Answer> {
        Some(match reply {
            "L" => None,
            "C" => Some(Completed::Recorded),
            "A" => Some(Completed::AlreadyFinished),
            _ => return None,
        })
    }
}

/// Completions whose ends are to be kept in short.
#[derive(Debug, Clone)]
pub(super) struct Shorten<'a>(pub(super) &'a Completion);

impl Keyed for Shorten<'_> {
    fn key(&self) -> &StoreKey {
        self.0.key()
    }
}

impl Call for Shorten<'_> {
    const FUNCTION: &'static str = "oncewise_v2_shorten";
    type Answer = Completed;

    fn args(&self, call: &mut Cmd) {
        self.0.args(call);
    }

    fn answer(reply: &str) -> Option<Completed> {
        Completion::answer(reply)
    }
}
