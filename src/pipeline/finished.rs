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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HERE: Place<'static> = Place { topic_id: "dG9waWM", partition: 3, offset: 100 };
    const FAR: i64 = i64::MAX;

    fn finished(runs: &[(i64, i64)]) -> Finished {
        let mut finished = Finished::default();
        runs.iter().for_each(|(from, to)| finished.push(*from, *to));
        finished
    }

    #[test]
    fn nothing_finished_is_no_text_and_no_text_is_nothing_finished() {
        assert_eq!(Finished::default().note(&HERE), "");
        assert_eq!(Finished::read("", &HERE, 0), Ok(Finished::default()));
    }

    #[test]
    fn a_note_counts_only_where_it_was_written() {
        let some = finished(&[(101, 105), (110, 111)]);
        let note = some.note(&HERE);
        assert_eq!(Finished::read(&note, &HERE, 111), Ok(some));
        for elsewhere in [
            Place { topic_id: "dG9waWN", ..HERE },
            Place { topic_id: "", ..HERE },
            Place { partition: 4, ..HERE },
            Place { offset: 99, ..HERE },
            Place { offset: 101, ..HERE },
        ] {
            assert_eq!(Finished::read(&note, &elsewhere, FAR), Err(Unreadable::Elsewhere), "{elsewhere:?}");
        }
    }

    #[test]
    fn what_lies_beyond_the_log_makes_the_whole_note_void() {
        let note = finished(&[(101, 105), (110, 111)]).note(&HERE);
        let void = Err(Unreadable::BeyondTheLog { named: 111, end: 110 });
        assert_eq!(Finished::read(&note, &HERE, 110), void);
    }

    #[test]
    fn other_texts_and_other_versions_are_told_apart() {
        for foreign in ["consumer-1", "{\"host\":\"a\"}", "AQ", "äöü", &"A".repeat(5000)] {
            assert_eq!(Finished::read(foreign, &HERE, FAR), Err(Unreadable::Foreign), "{foreign}");
        }
        let mut bytes = STANDARD_NO_PAD.decode(finished(&[(101, 102)]).note(&HERE)).unwrap();
        bytes[0] = 2;
        let newer = STANDARD_NO_PAD.encode(bytes);
        assert_eq!(Finished::read(&newer, &HERE, FAR), Err(Unreadable::Version(2)));
    }

    #[test]
    fn numbers_that_lead_nowhere_are_refused_even_with_a_true_seal() {
        let sealed = |runs: &[u8]| {
            let mut bytes = vec![VERSION];
            bytes.extend(seal(&HERE, runs));
            bytes.extend(runs);
            STANDARD_NO_PAD.encode(bytes)
        };
        for runs in [
            &[0, 0][..],
            &[1],
            &[0x80],
            &[0xff; 30],
            &[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
        ] {
            assert_eq!(Finished::read(&sealed(runs), &HERE, FAR), Err(Unreadable::Foreign), "{runs:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_far_end() {
        let runs: Vec<(i64, i64)> = (0..5000).map(|n| (1000 + n * 1000, 1900 + n * 1000)).collect();
        let note = finished(&runs).note(&HERE);
        assert!(note.len() <= 4000 && note.len() > 3900, "{}", note.len());
        let read = Finished::read(&note, &HERE, FAR).unwrap();
        assert!(read.runs.len() > 700, "{}", read.runs.len());
        assert_eq!(read.runs, runs[..read.runs.len()]);
    }

    prop_compose! {
        fn any_finished()(runs in prop::collection::vec((0_i64..5000, 1_i64..5000), 0..200)) -> Finished {
            let mut finished = Finished::default();
            let mut at = HERE.offset;
            for (gap, length) in runs {
                finished.push(at + gap, at + gap + length);
                at += gap + length;
            }
            finished
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(some in any_finished()) {
            prop_assert_eq!(Finished::read(&some.note(&HERE), &HERE, FAR), Ok(some));
        }

        #[test]
        fn one_changed_letter_makes_it_void(some in any_finished(), at: prop::sample::Index, letter in "[A-Za-z0-9+/=]") {
            let note = some.note(&HERE);
            prop_assume!(!note.is_empty());
            let at = at.index(note.len());
            let mut changed = note.clone();
            changed.replace_range(at..=at, &letter);
            prop_assume!(changed != note);
            prop_assert!(Finished::read(&changed, &HERE, FAR).is_err());
        }

        #[test]
        fn no_text_panics_or_is_believed(text in ".{1,300}") {
            prop_assert!(Finished::read(&text, &HERE, FAR).is_err());
        }

        #[test]
        fn an_offset_is_finished_if_a_run_has_it(some in any_finished(), offset in 0_i64..100_000) {
            let in_a_run = some.runs.iter().any(|(from, to)| (*from..*to).contains(&offset));
            prop_assert_eq!(some.contains(offset), in_a_run);
        }
    }
}
