//! Claims without the functions: one `SET … NX GET` for each, which says whether a key is new, and claims it.
//!
//! Most keys are new. Of those that are not, what stands there is read here, as far as that answers. What may be
//! granted nevertheless (to the owner who has it already, after a lease has run out, after a delay) is asked of the
//! function behind it, which alone decides that.
//!
//! The lease of a new claim ends at a time of the server's clock, which is reckoned from what it said before: never
//! later than if the server had reckoned itself, and earlier by less than [`LEASE_MARGIN`], for which owners allow.
//! Each batch asks for the time again. Where what it says does not fit, because one of the clocks was set or stood
//! still, the function grants the new claims once more, by the clock itself.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::cluster::Elsewhere;
use super::compact::{self, Confirmed};
use super::completions::Amend;
use super::duplicates::Duplicate;
use super::fault::redirect_of;
use super::line::{Line, time};
use super::record::{Fresh, Hex, Record, differ, read};
use super::resp::Reply;
use super::together::{Batch, Numbers};
use super::wire::at_least_one;
use crate::store::{Claim, ClaimRequest, End, Grant, LEASE_MARGIN, StoreKey, millis};

/// A lease may end so much too early for what was not known of the server's clock. The rest of the margin is for what
/// is not noticed, and for rounding.
const UNCERTAIN_US: u64 = LEASE_MARGIN.as_micros() as u64 - 10_000;

/// So long it is remembered of an event that it was claimed by mistake: its claim is made again at once.
const MISPLACED_MS: u64 = 60_000;

/// Whom a batch is sent to.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    /// To a server that has all keys. `aware` says that ends are known to be kept in short, `together` that they are
    /// to stand in a batch.
    One { aware: bool, together: Option<Numbers> },
    /// To a node of a cluster; with `asking`, for keys of slots that are moving to it.
    Node { asking: bool },
}

impl To {
    /// The same, with a record for each claim.
    pub(super) fn apart(self) -> Self {
        match self {
            Self::One { aware, .. } => Self::One { aware, together: None },
            node => node,
        }
    }

    pub(super) fn is_asking(self) -> bool {
        matches!(self, Self::Node { asking: true })
    }
}

/// What a batch was sent with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    token: u64,
    at: Instant,
    /// The server's clock was known well enough.
    certain: bool,
    to: To,
    batch: Option<Batch>,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Native {
    /// `None` where the function is to be asked.
    pub(super) answers: Vec<Option<Claim>>,
    /// What ends in short may stand in the way of what was granted.
    pub(super) confirmed: Confirmed,
    /// Which of them another node of the cluster is to be asked.
    pub(super) elsewhere: Vec<Elsewhere>,
    /// Under which token new claims were granted, where one server has them all, and what they stand in.
    pub(super) granted: Option<(u64, Option<Batch>)>,
    /// No key was new.
    pub(super) nothing_new: bool,
    /// What may be a duplicate of what took effect.
    pub(super) duplicates: Vec<Duplicate>,
    /// What was claimed in a batch which has turned out to be another's, made free again where it still stands so.
    pub(super) misplaced: Vec<Amend>,
}

/// Why there are no answers: the error of the server.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) Vec<u8>);

/// The tokens of new claims. They grow within this process, and with the server's clock beyond it.
#[derive(Debug, Default)]
pub(super) struct Tokens(AtomicU64);

impl Tokens {
    fn next(&self, least: u64) -> u64 {
        let grow = |last: u64| Some(least.max(last + 1));
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
        // It fails only where there is no next one.
        let (Ok(last) | Err(last)) = last;
        least.max(last + 1)
    }
}

/// Writes the commands of a batch.
pub(super) fn write(line: &mut Line, requests: &[ClaimRequest], tokens: &Tokens, to: To) -> Sent {
    let at = Instant::now();
    let least_us = line.clock.at_least_us(at);
    let certain = line.clock.at_most_us(at).saturating_sub(least_us) <= UNCERTAIN_US;
    let token = tokens.next(least_us);
    let commands = &mut line.commands;
    commands.command(&[b"TIME"]);
    let mut lease = None;
    let mut fresh = Fresh::new(token, 0);
    let mut keep = Keep::after("$2\r\nNX\r\n$3\r\nGET\r\n");
    commands.reserve(requests.len() * 256);
    if let To::One { together: Some(numbers), .. } = to {
        let deadline_ms = least_us / 1_000 + requests.first().map_or(0, |first| millis(first.lease));
        // What is left on its way of an attempt before must not come into this batch: each has a number of its own. All of
        // it is written, or nothing.
        commands.command(&[b"MULTI"]);
        let batch = Batch::begin(numbers.next(), requests, token, deadline_ms, commands);
        for (place, request) in requests.iter().enumerate() {
            commands.begin_with(b"*7\r\n$3\r\nSET\r\n");
            commands.word(request.key.name_len(), |bytes| request.key.write_name(bytes));
            let (mut text, value) = (itoa::Buffer::new(), batch.value(place));
            commands.word_of(text.format(value).as_bytes());
            // Its end is not written here, and comes before the lease has run out.
            commands.raw(keep.words(request.retention + request.lease));
        }
        commands.command(&[b"EXEC"]);
        compact::write(commands, requests, to);
        return Sent { token, at, certain, to, batch: Some(batch) };
    }
    for request in requests {
        if lease != Some(request.lease) {
            lease = Some(request.lease);
            fresh = Fresh::new(token, least_us / 1_000 + millis(request.lease));
        }
        if to.is_asking() {
            commands.command(&[b"ASKING"]);
        }
        commands.begin_with(b"*7\r\n$3\r\nSET\r\n");
        commands.word(request.key.name_len(), |bytes| request.key.write_name(bytes));
        fresh.word(&request.owner, &Hex::of(request.fingerprint), commands);
        commands.raw(keep.words(request.retention));
    }
    compact::write(commands, requests, to);
    Sent { token, at, certain, to, batch: None }
}

/// The words at the end of a command, the last of which are `PX <milliseconds>`: there are few different ones, so
/// those for the last retention that was asked for are kept.
#[derive(Debug)]
pub(super) struct Keep {
    first: &'static str,
    of: Option<Duration>,
    words: Vec<u8>,
}

impl Keep {
    pub(super) fn after(first: &'static str) -> Self {
        Self { first, of: None, words: Vec::new() }
    }

    pub(super) fn words(&mut self, retention: Duration) -> &[u8] {
        if self.of != Some(retention) {
            self.of = Some(retention);
            let (first, millis) = (self.first, at_least_one(retention).to_string());
            self.words = format!("{first}$2\r\nPX\r\n${}\r\n{millis}\r\n", millis.len()).into_bytes();
        }
        &self.words
    }
}

/// Reads the replies to a batch.
pub(super) fn answers(line: &mut Line, requests: &[ClaimRequest], sent: Sent) -> Result<Native, Refusal> {
    let mut replies = line.replies.all();
    let said_us = match replies.next() {
        Some(Reply::Error(error)) => return Err(Refusal(error.to_vec())),
        said => {
            said.and_then(time).ok_or_else(|| Refusal(b"ERR what it says to TIME is no time".to_vec()))?
        }
    };
    if let Some(seconds) = line.clock.step(said_us, sent.at, line.first_reply) {
        tracing::error!(
            seconds,
            "the clock of Redis was set: until they are renewed, leases end too early or too late"
        );
    }
    let certain = line.clock.learn(said_us, sent.at, line.first_reply) && sent.certain;
    let granted = certain.then_some(Claim::Won(Grant {
        token: sent.token,
        attempts: 0,
        takeovers: 0,
        first_failure_ms: None,
    }));
    let asking = sent.to.is_asking();
    let mut queued = None;
    if sent.batch.is_some() {
        // Behind what says that it is queued comes what all of it has done.
        let refused = replies.by_ref().take(requests.len() + 2).find_map(|reply| match reply {
            Reply::Error(error) => Some(Refusal(error.to_vec())),
            _ => None,
        });
        queued = match (refused, replies.next()) {
            (None, Some(Reply::Array(elements))) => Some(elements),
            (Some(refusal), _) => return Err(refusal),
            (None, Some(Reply::Error(error))) => return Err(Refusal(error.to_vec())),
            _ => return Err(Refusal(b"ERR a transaction without an answer".to_vec())),
        };
    }
    let is_new = match queued.as_mut().and_then(Iterator::next) {
        Some(Reply::Error(error)) => return Err(Refusal(error.to_vec())),
        Some(Reply::Nothing) => false,
        _ => true,
    };
    let granted = granted.filter(|_| is_new);
    let plain = replies.enumerate().filter(|(number, _)| !asking || number % 2 == 1).map(|(_, reply)| reply);
    let mut replies = queued.into_iter().flatten().chain(plain);
    let mut answers = Vec::with_capacity(requests.len());
    let (mut elsewhere, mut misplaced, mut duplicates) = (Vec::new(), Vec::new(), Vec::new());
    let mut nothing_new = true;
    // What comes after a request that the function decides has to see what that has changed.
    let mut undecided: HashSet<&StoreKey> = HashSet::new();
    for (request, reply) in requests.iter().zip(replies.by_ref()) {
        let answer = match reply {
            Reply::Nothing => {
                nothing_new = false;
                if let Some(batch) = sent.batch.filter(|_| !is_new) {
                    misplaced.push(Amend {
                        key: request.key.clone(),
                        written: batch.value(answers.len()).to_string().into_bytes(),
                        right: free(sent.token),
                        keep: MISPLACED_MS,
                    });
                }
                granted
            }
            Reply::Error(error) if error.starts_with(b"WRONGTYPE") => Some(Claim::Foreign),
            Reply::Error(error) => match redirect_of(error) {
                Some(redirect) => {
                    elsewhere.push(Elsewhere { number: answers.len(), redirect, said: error.to_vec() });
                    None
                }
                None => return Err(Refusal(error.to_vec())),
            },
            Reply::Text(old) => {
                let judged = judge(old, request, said_us / 1_000);
                if judged.is_none()
                    && let Some(batch) = may_be_done(old)
                {
                    duplicates.push(Duplicate { number: answers.len(), batch });
                }
                judged
            }
            Reply::Array(_) => None,
        };
        let answer = answer.filter(|_| undecided.is_empty() || !undecided.contains(&request.key));
        if answer.is_none() {
            undecided.insert(&request.key);
        }
        answers.push(answer);
    }
    let confirmed = compact::read(replies, requests, sent.to)?;
    let granted = matches!(sent.to, To::One { .. }).then_some((sent.token, sent.batch.filter(|_| is_new)));
    Ok(Native { answers, confirmed, elsewhere, granted, nothing_new, duplicates, misplaced })
}

/// Whether what stands under a key says that the event took effect, or the batch that may say so.
#[expect(clippy::option_option, reason = "the batch of what may have ended, if it was claimed in one")]
fn may_be_done(old: &[u8]) -> Option<Option<u64>> {
    match read(old) {
        Record::InBatch(number) => Some(Some(number)),
        Record::Ended(ended) => (ended.end == End::Done).then_some(None),
        _ => None,
    }
}

/// The record of an event that anybody may claim.
fn free(token: u64) -> Vec<u8> {
    format!("1F{token}::0:0:0:0::W:N:").into_bytes()
}

/// The answer to a claim of a key that is known; `None` when more has to be asked.
fn judge(old: &[u8], request: &ClaimRequest, now_ms: u64) -> Option<Claim> {
    let fingerprint = Hex::of(request.fingerprint);
    let print = fingerprint.as_bytes();
    match read(old) {
        // What that means is said elsewhere.
        Record::InBatch(_) => None,
        Record::Foreign => Some(Claim::Foreign),
        // The function says its hop.
        Record::Ended(ended) if ended.end != End::Done => None,
        Record::Ended(ended) if differ(print, ended.fingerprint) => Some(Claim::Mismatch { hop: 0 }),
        // It is to be remembered for its whole time from now on.
        Record::Ended(_) => None,
        Record::Open(open) if differ(print, open.fingerprint) => {
            (!open.sent_on).then_some(Claim::Mismatch { hop: 0 })
        }
        // The plain way is for what was never sent on.
        Record::Open(open) if open.sent_on => Some(Claim::Moved),
        Record::Open(open) if open.claimed && open.owner == request.owner.as_str().as_bytes() => None,
        Record::Open(open) => {
            let left = open.deadline_ms?.checked_sub(now_ms).filter(|left| *left > 0)?;
            let left = Duration::from_millis(left);
            Some(if open.claimed { Claim::Busy { left } } else { Claim::BackingOff { left } })
        }
    }
}
