//! Completions of what took effect and was never sent on, without the functions: one `SET … GET` for each, which records
//! the end and says what it replaced.
//!
//! Such a completion is truthful, so it may write first and look then: the effect did happen. What it must not replace
//! (the end that another owner has recorded, a value that is not ours, a fingerprint that it does not know itself) is
//! put back by a function, unless somebody has changed it since. In between, and for good should this process die
//! there, the event has ended all the same: nobody is granted a claim, only by whom it ended is told by the later of two
//! for whom it took effect.

use std::collections::HashMap;

use super::claims::{Keep, Refusal};
use super::cluster::Elsewhere;
use super::fault::redirect_of;
use super::line::Line;
use super::record::{Ended, Record, done, read};
use super::resp::Reply;
use super::together::Batch;
use super::wire::retention;
use crate::store::{Completed, Completion, End, StoreKey};

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Native {
    /// `None` where the function is to be asked.
    pub(super) answers: Vec<Option<Completed>>,
    /// What is to be put right.
    pub(super) amends: Vec<Amend>,
    /// Why there is not an answer to each of them.
    pub(super) refusal: Option<Refusal>,
    /// Which of them another node of the cluster is to be asked.
    pub(super) elsewhere: Vec<Elsewhere>,
}

/// A value that stands under a key, and what should stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Amend {
    pub(super) key: StoreKey,
    pub(super) written: Vec<u8>,
    pub(super) right: Vec<u8>,
    /// Milliseconds; 0 keeps it for ever.
    pub(super) keep: u64,
}

/// Writes the commands of a batch; with `asking`, for keys of slots that are moving to this node of a cluster.
pub(super) fn write(line: &mut Line, completions: &[Completion], asking: bool) {
    let commands = &mut line.commands;
    let mut keep = Keep::after("$3\r\nGET\r\n");
    commands.reserve(completions.len() * 128);
    let mut value = Vec::with_capacity(40);
    for completion in completions {
        let key = &completion.held.key;
        if asking {
            commands.command(&[b"ASKING"]);
        }
        commands.begin_with(b"*6\r\n$3\r\nSET\r\n");
        commands.word(key.name_len(), |bytes| key.write_name(bytes));
        value_of(completion, &mut value);
        commands.word(value.len(), |bytes| bytes.extend_from_slice(&value));
        commands.raw(keep.words(completion.retention));
    }
}

pub(super) fn value_of(completion: &Completion, to: &mut Vec<u8>) {
    to.clear();
    done(completion, super::record::Hex::of(completion.fingerprint).as_bytes(), to);
}

/// Reads the replies to a batch. Some of the claims may stand in batches, by their tokens.
pub(super) fn answers(
    line: &Line,
    completions: &[Completion],
    asking: bool,
    batches: &HashMap<u64, Batch>,
) -> Native {
    let replies = line.replies.all().enumerate();
    let replies = replies.filter(|(number, _)| !asking || number % 2 == 1).map(|(_, reply)| reply);
    let mut ours = Vec::with_capacity(128);
    let all_ours = completions.iter().zip(replies.clone()).all(|(completion, reply)| match reply {
        Reply::Text(old) => {
            leaves_nothing_to_do(old, completion, &mut ours) || is_in(old, completion, batches)
        }
        _ => false,
    });
    if all_ours {
        let answers = vec![Some(Completed::Recorded); completions.len()];
        return Native { answers, ..Native::default() };
    }
    each(completions, replies, batches)
}

/// Whether this was our claim in its batch.
fn is_in(old: &[u8], completion: &Completion, batches: &HashMap<u64, Batch>) -> bool {
    batches.get(&completion.held.token).is_some_and(|batch| batch.has(old))
}

/// Whether this was our claim, without a fingerprint that is lost now.
fn leaves_nothing_to_do(old: &[u8], completion: &Completion, ours: &mut Vec<u8>) -> bool {
    our_claim(completion, ours);
    old.starts_with(ours) && (completion.fingerprint.is_some() || old.last() == Some(&b':'))
}

/// How the record of our claim begins.
fn our_claim(completion: &Completion, to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(b"1P");
    to.extend_from_slice(itoa::Buffer::new().format(completion.held.token).as_bytes());
    to.push(b':');
    to.extend_from_slice(completion.held.owner.as_str().as_bytes());
    to.push(b':');
}

/// What the last request for a key has written, and what should stand there.
struct Stands {
    written: Vec<u8>,
    right: Vec<u8>,
    keep: u64,
}

/// One by one: a request sees what should stand there after the requests before it.
fn each<'a>(
    completions: &[Completion],
    replies: impl Iterator<Item = Reply<'a>>,
    batches: &HashMap<u64, Batch>,
) -> Native {
    let mut native = Native::default();
    let mut keys: HashMap<&StoreKey, Stands> = HashMap::new();
    for (completion, reply) in completions.iter().zip(replies) {
        let key = &completion.held.key;
        let seen = match reply {
            Reply::Nothing => None,
            Reply::Text(old) => Some(old),
            Reply::Error(error) if error.starts_with(b"WRONGTYPE") => {
                native.answers.push(Some(Completed::Foreign));
                continue;
            }
            // Nothing was written: out of memory is no excuse for the function.
            Reply::Error(error) if error.starts_with(b"OOM") => {
                native.answers.push(None);
                continue;
            }
            Reply::Error(error) if let Some(redirect) = redirect_of(error) => {
                let number = native.answers.len();
                native.elsewhere.push(Elsewhere { number, redirect, said: error.to_vec() });
                native.answers.push(None);
                continue;
            }
            Reply::Error(error) => {
                native.refusal.get_or_insert(Refusal(error.to_vec()));
                continue;
            }
            Reply::Array(_) => continue,
        };
        let mut written = Vec::new();
        value_of(completion, &mut written);
        let before = keys.get(key).filter(|stands| Some(&stands.written[..]) == seen);
        let old = before.map(|stands| &stands.right[..]).or(seen);
        let (answer, right) = match old {
            Some(old) if is_in(old, completion, batches) => (Completed::Recorded, written.clone()),
            // In which batch is not known here. It is put back, for the function to answer.
            Some(old) if matches!(read(old), Record::InBatch(_)) => {
                native.answers.push(None);
                keys.insert(key, Stands { right: old.to_vec(), keep: retention(completion), written });
                continue;
            }
            old => settle(old, completion, &written),
        };
        let keep = match (answer, before) {
            (Completed::Foreign, _) => 0,
            (Completed::AlreadyFinished, Some(stands)) => stands.keep,
            _ => retention(completion),
        };
        native.answers.push(Some(answer));
        keys.insert(key, Stands { written, right, keep });
    }
    let amends = keys.into_iter().filter(|(_, stands)| stands.written != stands.right);
    native.amends = amends
        .map(|(key, Stands { written, right, keep })| Amend { key: key.clone(), written, right, keep })
        .collect();
    native
}

/// The answer to one completion, and what should stand under its key after it, where `written` was what it wrote.
fn settle(old: Option<&[u8]>, completion: &Completion, written: &[u8]) -> (Completed, Vec<u8>) {
    let Some(old) = old else { return (Completed::Lost, written.to_vec()) };
    let mut ours = Vec::new();
    our_claim(completion, &mut ours);
    match read(old) {
        Record::Foreign | Record::InBatch(_) => (Completed::Foreign, old.to_vec()),
        // What took effect was not moved, nor is it dead: its copy finds out.
        Record::Ended(Ended { end: End::Moved | End::Dead, fingerprint, .. }) => {
            (Completed::Stolen, knowing(fingerprint, completion, written))
        }
        Record::Ended(ended) => {
            let ours = ended.token == itoa::Buffer::new().format(completion.held.token).as_bytes();
            (if ours { Completed::Recorded } else { Completed::AlreadyFinished }, old.to_vec())
        }
        Record::Open(open) => {
            let answer = if old.starts_with(&ours) { Completed::Recorded } else { Completed::Stolen };
            (answer, knowing(open.fingerprint, completion, written))
        }
    }
}

/// What was written, with a fingerprint that only the record before it had.
fn knowing(fingerprint: &[u8], completion: &Completion, written: &[u8]) -> Vec<u8> {
    if completion.fingerprint.is_some() {
        return written.to_vec();
    }
    let mut right = Vec::new();
    done(completion, fingerprint, &mut right);
    right
}
