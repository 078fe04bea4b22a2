//! Duplicates of what took effect: they are told so by plain commands, and the event is remembered for its whole time from
//! now on, as after its first delivery. Where that leaves a doubt, the function is asked.

use std::collections::{BTreeMap, HashMap};

use super::line::Line;
use super::resp::{Commands, Reply};
use super::together::{Batch, is_done, keep_longer, name_of};
use super::wire::retention;
use crate::store::{Claim, ClaimRequest};

/// A claim of a key under which an end stands, or a batch that may have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Duplicate {
    /// Which of the requests.
    pub(super) number: usize,
    pub(super) batch: Option<u64>,
}

/// The name of each batch, and how long it has to be remembered.
type Batches = BTreeMap<u64, (String, u64)>;

/// Writes the commands: first about the batches, which have to outlive their keys. Nothing stands in an `empty` batch, which
/// goes.
pub(super) fn write(
    line: &mut Line,
    requests: &[ClaimRequest],
    duplicates: &[Duplicate],
    empty: Option<Batch>,
) -> Batches {
    let mut batches = Batches::new();
    for Duplicate { number, batch } in duplicates {
        let Some(batch) = batch else { continue };
        let request = &requests[*number];
        let (_, keep) = batches.entry(*batch).or_insert_with(|| (name_of(request.key.prefix(), *batch), 0));
        *keep = keep_longer(retention(request)).max(*keep);
    }
    let commands = &mut line.commands;
    for (name, keep) in batches.values() {
        commands.command(&[b"GET", name.as_bytes()]);
        prolong(commands, name.as_bytes(), *keep);
    }
    for Duplicate { number, .. } in duplicates {
        prolong(commands, &requests[*number].key.name(), retention(&requests[*number]));
    }
    if let (Some(batch), Some(first)) = (empty, requests.first()) {
        commands.command(&[b"DEL", batch.name(first.key.prefix()).as_bytes()]);
    }
    batches
}

fn prolong(commands: &mut Commands, key: &[u8], keep: u64) {
    commands.command(&[b"PEXPIRE", key, itoa::Buffer::new().format(keep).as_bytes(), b"GT"]);
}

/// Reads the replies: which of the requests are duplicates.
pub(super) fn answers(line: &Line, duplicates: &[Duplicate], batches: &Batches) -> Vec<(usize, Claim)> {
    let mut replies = line.replies.all();
    let mut ended = HashMap::new();
    for batch in batches.keys() {
        let is_done = matches!(replies.next(), Some(Reply::Text(record)) if is_done(record));
        let is_known = !matches!(replies.next(), None | Some(Reply::Error(_)));
        ended.insert(*batch, is_done && is_known);
    }
    let told = duplicates.iter().zip(replies).filter(|(duplicate, reply)| match duplicate.batch {
        // What was claimed together is remembered for its lease longer, so that there may be nothing to prolong.
        Some(batch) => ended.get(&batch) == Some(&true) && !matches!(reply, Reply::Error(_)),
        None => *reply == Reply::Text(b"1"),
    });
    told.map(|(duplicate, _)| (duplicate.number, Claim::Done)).collect()
}
