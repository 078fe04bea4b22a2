//! Records as text, for the calls that go without the functions: `functions.lua` describes the format, and is the
//! other half of this. Pure.

use super::resp::Commands;
use super::together::member;
use crate::store::{Completion, End, Owner};

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Open(Open<'a>),
    Ended(Ended<'a>),
    /// It was claimed in this batch, whose record says what has become of it.
    InBatch(u64),
    /// Nothing that we can read.
    Foreign,
}

/// An event that is claimed, or free to be claimed from `deadline_ms` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open<'a> {
    pub(super) claimed: bool,
    pub(super) owner: &'a [u8],
    /// `None` where it is beyond all that we count.
    pub(super) deadline_ms: Option<u64>,
    pub(super) fingerprint: &'a [u8],
    /// It was claimed by a delivery that we had sent on.
    pub(super) sent_on: bool,
}

/// An event that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended<'a> {
    pub(super) token: &'a [u8],
    pub(super) end: End,
    pub(super) fingerprint: &'a [u8],
}

pub(super) fn read(value: &[u8]) -> Record<'_> {
    if let Some(ended) = ended(value).or_else(|| reopenable(value)) {
        return Record::Ended(ended);
    }
    if let Some(number) = member(value) {
        return Record::InBatch(number);
    }
    open(value).map_or(Record::Foreign, Record::Open)
}

fn open(value: &[u8]) -> Option<Open<'_>> {
    let (claimed, sent_on, rest) = match value {
        [version @ (b'1' | b'2'), b'P', rest @ ..] => (true, *version == b'2', rest),
        [version @ (b'1' | b'2'), b'F', rest @ ..] => (false, *version == b'2', rest),
        _ => return None,
    };
    let mut fields = rest.split(|byte| *byte == b':');
    let mut field = || fields.next();
    let (token, owner, deadline) = (field()?, field()?, field()?);
    let counts = [field()?, field()?, field()?];
    let (first, grant, run, fingerprint) = (field()?, field()?, field()?, field()?);
    let hop = if sent_on { field()? } else { b"0" };
    let legal = field().is_none()
        && is_number(hop)
        && is_number(token)
        && owner.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
        && is_number(deadline)
        && counts.iter().all(|count| is_number(count))
        && first.strip_prefix(b"-").unwrap_or(first).iter().all(u8::is_ascii_digit)
        && matches!(grant, b"W" | b"T" | b"S")
        && matches!(run, b"N" | b"C" | b"A")
        && fingerprint.iter().all(u8::is_ascii_hexdigit);
    legal.then(|| Open { claimed, owner, deadline_ms: number(deadline), fingerprint, sent_on: hop != b"0" })
}

/// The ends that are open again to an event that was sent on more often.
fn reopenable(value: &[u8]) -> Option<Ended<'_>> {
    let (end, rest) = match value {
        [b'2', b'X', rest @ ..] => (End::Dead, rest),
        [b'2', b'M', rest @ ..] => (End::Moved, rest),
        _ => return None,
    };
    let mut fields = rest.split(|byte| *byte == b':');
    let mut field = || fields.next();
    let (token, hop, attempts, first, fingerprint) = (field()?, field()?, field()?, field()?, field()?);
    let legal = field().is_none()
        && [token, hop, attempts].iter().all(|number| is_number(number))
        && first.strip_prefix(b"-").unwrap_or(first).iter().all(u8::is_ascii_digit)
        && fingerprint.iter().all(u8::is_ascii_hexdigit);
    legal.then_some(Ended { token, end, fingerprint })
}

fn ended(value: &[u8]) -> Option<Ended<'_>> {
    let digits = value.iter().position(|byte| *byte == b':').unwrap_or(value.len());
    let (head, fingerprint) = value.split_at(digits);
    let fingerprint = match fingerprint {
        [] => fingerprint,
        [_, hex @ ..] if !hex.is_empty() && hex.iter().all(u8::is_ascii_hexdigit) => hex,
        _ => return None,
    };
    let [token @ .., how, _, _] = head else { return None };
    let end = match how {
        b'0' => End::Done,
        b'1' => End::Dead,
        _ => return None,
    };
    (is_number(token) && is_number(head)).then_some(Ended { token, end, fingerprint })
}

fn is_number(digits: &[u8]) -> bool {
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

fn number(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether two fingerprints are known and not the same.
pub(super) fn differ(one: &[u8], other: &[u8]) -> bool {
    !one.is_empty() && !other.is_empty() && one != other
}

/// A fingerprint as it stands in a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hex {
    digits: [u8; 16],
    length: usize,
}

impl Hex {
    pub(super) fn of(fingerprint: Option<u64>) -> Self {
        let Some(fingerprint) = fingerprint else { return Self { digits: [0; 16], length: 0 } };
        let nibble = |place: usize| (fingerprint >> (60 - 4 * place)) as usize & 15;
        Self { digits: std::array::from_fn(|place| b"0123456789abcdef"[nibble(place)]), length: 16 }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// What all new claims with one lease in one batch have in common: `1P<token>:`, and what follows the owner.
#[derive(Debug)]
pub(super) struct Fresh {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Fresh {
    pub(super) fn new(token: u64, deadline_ms: u64) -> Self {
        Self {
            head: format!("1P{token}:").into_bytes(),
            tail: format!(":{deadline_ms}:0:0:0::W:N:").into_bytes(),
        }
    }

    /// The record of one claim, as the next word of a command.
    pub(super) fn word(&self, owner: &Owner, fingerprint: &Hex, commands: &mut Commands) {
        let parts = [&self.head, owner.as_str().as_bytes(), &self.tail, fingerprint.as_bytes()];
        commands.word(parts.iter().map(|part| part.len()).sum(), |bytes| {
            parts.iter().for_each(|part| bytes.extend_from_slice(part));
        });
    }
}

/// What is kept of an event that is done: `<token>0<attempts>[:<fingerprint>]`.
pub(super) fn done(completion: &Completion, fingerprint: &[u8], to: &mut Vec<u8>) {
    to.extend_from_slice(itoa::Buffer::new().format(completion.held.token).as_bytes());
    let attempts = completion.attempts.min(99) as u8;
    to.extend_from_slice(&[b'0', b'0' + attempts / 10, b'0' + attempts % 10]);
    if !fingerprint.is_empty() {
        to.push(b':');
        to.extend_from_slice(fingerprint);
    }
}
