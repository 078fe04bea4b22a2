//! What is finished beyond the watermark, and its text in the metadata of a commit. Pure: no clock, no I/O.
//!
//! The text is a note from one owner of a partition to the next. Whoever can read it settles what it names without
//! asking anybody, so it has to prove that it means these very records: it counts only for the topic (by its id, which a
//! topic that is made again does not keep), the partition and the committed offset that it was written with.

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::{How, Settled};

/// How a note is written; another number is another format.
const VERSION: u8 = 1;
/// Of the digest that ties a note to its place.
const SEAL: usize = 8;
/// Brokers take 4096 bytes of metadata (`offset.metadata.max.bytes`); in base 64 three bytes become four.
const MOST_BYTES: usize = 3000;
const MOST_TEXT: usize = 4096;

/// Offsets that need no more work, beyond a watermark.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Finished {
    /// From one offset to before another, in order; no two of them touch.
    runs: Vec<(i64, i64)>,
}

/// Where a note belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The id that the topic was given when it was made.
    pub topic_id: &'a str,
    /// The partition.
    pub partition: i32,
    /// The committed offset that the note goes with.
    pub offset: i64,
}

/// Why a note says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Somebody else's text, or a damaged one.
    #[error("it is not a note of this software")]
    Foreign,
    /// Written by a newer or an older worker.
    #[error("it is a note in format {0}, and this worker reads {VERSION}")]
    Version(u8),
    /// Damaged, or written for another topic, another partition or another offset.
    #[error("it does not belong to this topic, partition and offset")]
    Elsewhere,
    /// The log has been cut off, and what lies there now is something else.
    #[error("it names records up to {named}, and the log ends at {end}")]
    BeyondTheLog {
        /// The offset after the last one it names.
        named: i64,
        /// The offset that the next record will get.
        end: i64,
    },
}

impl Finished {
    /// Adds the offsets from `from` to before `to`, which lie behind all others.
    pub(super) fn push(&mut self, from: i64, to: i64) {
        match self.runs.last_mut() {
            Some((_, end)) if *end == from => *end = to,
            _ => self.runs.push((from, to)),
        }
    }

    /// The runs behind an offset.
    pub(super) fn from(&self, offset: i64) -> impl Iterator<Item = (i64, i64)> {
        let first = self.runs.partition_point(|(_, end)| *end <= offset);
        self.runs[first..].iter().map(move |(from, to)| ((*from).max(offset), *to))
    }

    /// Whether this offset needs no more work.
    #[must_use]
    pub fn contains(&self, offset: i64) -> bool {
        self.from(offset).next().is_some_and(|(from, _)| from == offset)
    }

    /// The proof that this offset needs no more work, if it is among these: who finished it has said so.
    #[must_use]
    pub fn settled(&self, epoch: u64, offset: i64) -> Option<Settled> {
        self.contains(offset).then(|| Settled::new(epoch, offset, How::Duplicate))
    }

    /// Whether nothing is finished.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many offsets these are.
    #[must_use]
    pub fn count(&self) -> i64 {
        self.runs.iter().map(|(from, to)| to - from).sum()
    }

    /// As the metadata of a commit, at most 4,000 bytes long; empty where nothing is finished. What does not fit is left
    /// out from the far end: the store remembers it.
    #[must_use]
    pub fn note(&self, place: &Place<'_>) -> String {
        let mut runs = Vec::new();
        let (mut at, mut whole) = (place.offset, 0);
        for (from, to) in &self.runs {
            let (Ok(gap), Ok(length)) = (u64::try_from(from - at), u64::try_from(to - from)) else { break };
            put(&mut runs, gap);
            put(&mut runs, length);
            if 1 + SEAL + runs.len() > MOST_BYTES {
                break;
            }
            (at, whole) = (*to, runs.len());
        }
        runs.truncate(whole);
        if runs.is_empty() {
            return String::new();
        }
        let mut bytes = vec![VERSION];
        bytes.extend(seal(place, &runs));
        bytes.extend(runs);
        STANDARD_NO_PAD.encode(bytes)
    }

    /// From the metadata of a commit. `log_end` is the offset that the next record will get. No metadata, nothing
    /// finished.
    ///
    /// # Errors
    /// The text is not ours, not about this place, or about records that are not there.
    pub fn read(text: &str, place: &Place<'_>, log_end: i64) -> Result<Self, Unreadable> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        if text.len() > MOST_TEXT {
            return Err(Unreadable::Foreign);
        }
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| Unreadable::Foreign)?;
        let (version, rest) = bytes.split_first().ok_or(Unreadable::Foreign)?;
        let (sealed, mut runs) = rest.split_at_checked(SEAL).ok_or(Unreadable::Foreign)?;
        if *version != VERSION {
            return Err(Unreadable::Version(*version));
        }
        if sealed != seal(place, runs) {
            return Err(Unreadable::Elsewhere);
        }
        let (mut finished, mut at) = (Self::default(), place.offset);
        while !runs.is_empty() {
            let (from, to) = next(&mut runs, at).ok_or(Unreadable::Foreign)?;
            finished.push(from, to);
            at = to;
        }
        if at > log_end { Err(Unreadable::BeyondTheLog { named: at, end: log_end }) } else { Ok(finished) }
    }
}

/// What ties a note to its place: whatever is changed in either, it is another one.
fn seal(place: &Place<'_>, runs: &[u8]) -> [u8; SEAL] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(place.topic_id.len() as u64).to_le_bytes());
    hasher.update(place.topic_id.as_bytes());
    hasher.update(&place.partition.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.update(runs);
    let mut sealed = [0; SEAL];
    sealed.copy_from_slice(&hasher.finalize().as_bytes()[..SEAL]);
    sealed
}

/// The next run behind `at`.
fn next(bytes: &mut &[u8], at: i64) -> Option<(i64, i64)> {
    let from = at.checked_add_unsigned(take(bytes)?)?;
    let to = from.checked_add_unsigned(take(bytes)?)?;
    (from < to).then_some((from, to))
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
#[path = "finished_tests.rs"]
mod tests;
