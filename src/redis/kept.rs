//! Completions that count when replicas have them (`redis.wait_replicas`).
//!
//! They go by functions, which say the last word in one call, and behind them `WAIT`, over the same connection: a server
//! that was replaced in between cannot answer for what the one before it was told. What is asked again because too few
//! replicas had it changes nothing, and `WAIT` speaks of what its own connection has written: so something is.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cluster::{Outcome, Visit};
use super::compact::Shorten;
use super::fault::{fault_of, lacks_functions, redirect_of};
use super::line::Line;
use super::redirect::Redirect;
use super::resp::Reply;
use super::wire::{Call, KEYS_PER_CALL, call};
use crate::store::{Completed, Completion, Layout, StoreFault, millis};

/// How long what is written for the sake of waiting stays.
const MARK_MS: &[u8] = b"60000";

/// How many replicas have to have what ended, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait {
    pub(super) replicas: u32,
    pub(super) timeout: Duration,
}

/// Why there are no answers.
#[derive(Debug)]
pub(super) enum Refusal {
    NoFunctions,
    /// So many replicas had it in time.
    TooFew(u32),
    /// The error of the server.
    Said(Vec<u8>),
}

/// Which completions each call carries.
#[derive(Debug)]
pub(super) struct Sent {
    chunks: Vec<Vec<usize>>,
    asking: bool,
}

/// Writes the calls, what is waited for, and the wait.
pub(super) fn write(line: &mut Line, completions: &[Completion], wait: Wait, visit: Visit) -> Sent {
    let mut slots: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (number, completion) in completions.iter().enumerate() {
        let bucket = if visit.in_cluster { completion.held.key.bucket() } else { 0 };
        slots.entry(bucket).or_default().push(number);
    }
    let most = if visit.alone { 1 } else { KEYS_PER_CALL };
    let mut sent = Sent { chunks: Vec::new(), asking: visit.asking };
    let commands = &mut line.commands;
    let layout = |number: &usize| completions[*number].layout;
    // In their order: what follows another of the same key has to see it.
    let alike =
        slots.values().flat_map(|numbers| numbers.chunk_by(|one, other| layout(one) == layout(other)));
    for chunk in alike.flat_map(|numbers| numbers.chunks(most)) {
        let some: Vec<Shorten<'_>> = chunk.iter().map(|number| Shorten(&completions[*number])).collect();
        let packed = match layout(&chunk[0]) {
            Layout::Compact => call(some.iter()).get_packed_command(),
            Layout::Keys => call(some.iter().map(|short| short.0)).get_packed_command(),
        };
        if visit.asking {
            commands.command(&[b"ASKING"]);
        }
        commands.begin_with(&packed);
        sent.chunks.push(chunk.to_vec());
    }
    if let Some(first) = completions.first() {
        let bucket = visit.aside.unwrap_or(first.held.key.bucket());
        let mark = format!("{}:{{{bucket}}}:wait", first.held.key.prefix());
        if visit.asking {
            commands.command(&[b"ASKING"]);
        }
        commands.command(&[b"SET", mark.as_bytes(), b"1", b"PX", MARK_MS]);
    }
    let (replicas, timeout) = (wait.replicas.to_string(), millis(wait.timeout).max(1).to_string());
    commands.command(&[b"WAIT", replicas.as_bytes(), timeout.as_bytes()]);
    sent
}

/// Reads the replies to that.
pub(super) fn answers(
    line: &Line,
    completions: &[Completion],
    sent: &Sent,
    wait: Wait,
) -> Result<Vec<Outcome<Completed>>, Refusal> {
    let mut replies = line.replies.all();
    let mut next = || {
        if sent.asking {
            replies.next();
        }
        replies.next()
    };
    let mut outcomes: Vec<Outcome<Completed>> =
        completions.iter().map(|_| Outcome::Elsewhere(Redirect::Again)).collect();
    for chunk in &sent.chunks {
        match next() {
            Some(Reply::Array(elements)) => {
                for (number, element) in chunk.iter().zip(elements) {
                    let Reply::Text(text) = element else { return Err(Refusal::NoFunctions) };
                    let answer = std::str::from_utf8(text).ok().and_then(Completion::answer);
                    outcomes[*number] = Outcome::Answer(answer.ok_or(Refusal::NoFunctions)?);
                }
            }
            Some(Reply::Error(error)) => {
                let redirect = redirect_of(error).ok_or_else(|| refusal(error))?;
                for number in chunk {
                    outcomes[*number] = Outcome::Elsewhere(redirect.clone());
                }
            }
            _ => return Err(Refusal::NoFunctions),
        }
    }
    match next() {
        Some(Reply::Error(error)) => {
            redirect_of(error).ok_or_else(|| Refusal::Said(error.to_vec()))?;
            // What was not waited for is asked again where it is: a slot that is moving away takes no new keys, and
            // has kept what it had.
            for outcome in outcomes.iter_mut().filter(|outcome| matches!(outcome, Outcome::Answer(_))) {
                *outcome = Outcome::Elsewhere(Redirect::Again);
            }
            return Ok(outcomes);
        }
        Some(_) => {}
        None => return Err(Refusal::NoFunctions),
    }
    let count = match line.replies.all().last() {
        Some(Reply::Text(count)) => std::str::from_utf8(count).ok().and_then(|count| count.parse().ok()),
        Some(Reply::Error(error)) => return Err(Refusal::Said(error.to_vec())),
        _ => None,
    };
    match count.unwrap_or(0) {
        enough if enough >= wait.replicas => Ok(outcomes),
        few => Err(Refusal::TooFew(few)),
    }
}

fn refusal(error: &[u8]) -> Refusal {
    if lacks_functions(error) { Refusal::NoFunctions } else { Refusal::Said(error.to_vec()) }
}

impl Refusal {
    pub(super) fn fault(&self, address: &str, wait: Wait) -> StoreFault {
        match self {
            Self::NoFunctions => fault_of(address, b"ERR Function not found"),
            Self::Said(error) => fault_of(address, error),
            Self::TooFew(few) => StoreFault::unavailable(format!(
                "{few} replicas of Redis at {address} have what has ended, and redis.wait_replicas = {} are wanted: it is \
                 not settled",
                wait.replicas
            )),
        }
    }
}
