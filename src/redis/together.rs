//! What is written of events that are claimed together and end together: see `functions.lua` for the format.

use std::ops::Range;
use std::time::Duration;

use super::resp::{Commands, Reply};
use super::wire::retention;
use crate::store::{ClaimRequest, Held, StoreKey, millis};

/// So many events a batch has numbers for: what is smaller than the first of them is the end of an event of its own.
pub(super) const PLACES: usize = 800;
const FIRST_PLACE: u64 = 200;
/// Batches have 16 digits, and what stands under a key is still a number of 64 bits, which Redis stores in place.
const NUMBERS: Range<u64> = 1_000_000_000_000_000..9_200_000_000_000_000;
/// So much longer than any of its keys a batch is remembered.
const LONGER: Duration = Duration::from_secs(60);

/// Names a batch that was claimed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    number: u64,
    /// For how many milliseconds it is remembered.
    keep: u64,
}

/// Where the numbers of batches come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Nobody else is likely to draw the same, and who does is told.
    #[default]
    Drawn,
    /// For tests: always this one.
    #[cfg(feature = "testing")]
    Always(u64),
}

impl Numbers {
    pub(super) fn next(self) -> u64 {
        match self {
            Self::Drawn => rand::random_range(NUMBERS),
            #[cfg(feature = "testing")]
            Self::Always(number) => number,
        }
    }
}

/// Whether these differ in nothing but their keys, their retentions and the last part of their owners, and may be
/// remembered for their lease longer.
pub(super) fn are_alike(requests: &[ClaimRequest]) -> bool {
    let Some(first) = requests.first() else { return false };
    let head = head(first);
    requests.iter().all(|request| {
        request.fingerprint.is_none()
            && request.hop == 0
            && request.lease == first.lease
            && request.retention >= request.lease
            && request.key.prefix() == first.key.prefix()
            && request.owner.as_str().strip_prefix(head).is_some_and(|tail| !tail.is_empty())
    })
}

/// What an owner begins with, and others of its partition do.
fn head(request: &ClaimRequest) -> &str {
    let owner = request.owner.as_str();
    &owner[..owner.rfind('.').map_or(0, |dot| dot + 1)]
}

impl Batch {
    /// Begins a batch of requests that are alike: says all that they have in common. The reply is `OK`, or nothing where
    /// the number is another's.
    pub(super) fn begin(
        number: u64,
        requests: &[ClaimRequest],
        token: u64,
        deadline_ms: u64,
        commands: &mut Commands,
    ) -> Self {
        let longest = requests.iter().map(retention).max().unwrap_or_default();
        let lease = requests.first().map_or(0, |first| millis(first.lease));
        let batch = Self { number, keep: keep_longer(longest + lease) };
        let head = requests.first().map_or("", head);
        let mut record = format!("1P{token}:{deadline_ms}:{head}:").into_bytes();
        for (place, request) in requests.iter().enumerate() {
            if place > 0 {
                record.push(b',');
            }
            record.extend_from_slice(&request.owner.as_str().as_bytes()[head.len()..]);
        }
        let (name, keep) =
            (batch.name(requests.first().map_or("", |first| first.key.prefix())), batch.keep.to_string());
        commands.command(&[b"SET", name.as_bytes(), &record, b"NX", b"PX", keep.as_bytes()]);
        batch
    }

    pub(super) fn name(self, prefix: &str) -> String {
        name_of(prefix, self.number)
    }

    /// What stands under the key of the event in this place.
    pub(super) fn value(self, place: usize) -> u64 {
        self.number * 1_000 + FIRST_PLACE + place as u64
    }

    /// Whether this stands under a key of the batch.
    pub(super) fn has(self, value: &[u8]) -> bool {
        member(value).is_some_and(|number| number == self.number)
    }
}

/// Where the record of a batch stands.
pub(super) fn name_of(prefix: &str, number: u64) -> String {
    format!("{prefix}:batch:{number}")
}

/// For how many milliseconds a batch is remembered whose keys are for so many.
pub(super) fn keep_longer(keep: u64) -> u64 {
    keep + millis(LONGER)
}

/// Whether the record of a batch says that it has ended.
pub(super) fn is_done(record: &[u8]) -> bool {
    record.strip_prefix(b"1D").is_some_and(|token| !token.is_empty() && token.iter().all(u8::is_ascii_digit))
}

/// The batch that is named by what stands under a key.
pub(super) fn member(value: &[u8]) -> Option<u64> {
    let digits = value.len() == 19 && value.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(value).ok().filter(|_| digits)?.parse().ok()?;
    (number % 1_000 >= FIRST_PLACE).then_some(number / 1_000)
}

/// How a batch ends as a whole.
#[derive(Debug)]
pub(super) struct Whole {
    batch: Batch,
    token: u64,
    /// The last of its keys, and its place.
    last: StoreKey,
    place: usize,
}

impl Whole {
    pub(super) fn new(batch: Batch, last: &Held, place: usize) -> Self {
        Self { batch, token: last.token, last: last.key.clone(), place }
    }

    /// Under which it was claimed.
    pub(super) fn token(&self) -> u64 {
        self.token
    }

    /// Writes the call that ends it.
    pub(super) fn write(&self, commands: &mut Commands) {
        let (name, last) = (self.batch.name(self.last.prefix()), self.last.name());
        let (token, keep) = (self.token.to_string(), self.batch.keep.to_string());
        let value = self.batch.value(self.place).to_string();
        let arguments = [name.as_bytes(), &last, token.as_bytes(), value.as_bytes(), keep.as_bytes()];
        commands.command(&[&[&b"FCALL"[..], b"oncewise_v2_end", b"2"], &arguments[..]].concat());
    }

    /// Whether the reply says that it has ended.
    pub(super) fn has_ended(reply: Option<Reply<'_>>) -> bool {
        let Some(Reply::Array(mut said)) = reply else { return false };
        said.next() == Some(Reply::Text(b"C"))
    }
}
