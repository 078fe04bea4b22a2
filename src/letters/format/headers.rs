//! Headers as text and as numbers. What is not legible is as if it were not there.

use jiff::Timestamp;

use crate::Header;

/// More of a text is not read: nobody writes more, and nobody reads it.
pub(super) const LONGEST: usize = 4096;

/// The headers of one record. A name may stand there several times: who appends makes the last one count, who puts
/// the new ones in front the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Headers<'a>(pub(super) &'a [Header]);

impl<'a> Headers<'a> {
    pub(super) fn first(self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().find(|header| header.name == name.as_bytes())?.value.as_deref()
    }

    pub(super) fn last(self, name: &str) -> Option<&'a [u8]> {
        self.0.iter().rev().find(|header| header.name == name.as_bytes())?.value.as_deref()
    }
}

/// One line that a terminal can show: what moves its cursor is left out.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST)]);
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    while line.len() > LONGEST {
        line.pop();
    }
    (!line.is_empty()).then_some(line)
}

/// The name of a topic, a group or a handler: exactly as it stands there, or not at all.
pub(super) fn name(bytes: &[u8]) -> Option<String> {
    let name = std::str::from_utf8(bytes).ok()?;
    let is_name =
        (1..=249).contains(&name.len()) && !name.contains(|c: char| c.is_control() || c.is_whitespace());
    is_name.then(|| name.to_owned())
}

/// A number of 0 and more, in digits.
pub(super) fn number<T: TryFrom<i64>>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    T::try_from(text.parse::<i64>().ok().filter(|_| is_number)?).ok()
}

/// Java's `int`: four bytes, the first is the greatest.
pub(super) fn int(bytes: &[u8]) -> Option<i32> {
    Some(i32::from_be_bytes(bytes.try_into().ok()?)).filter(|number| *number >= 0)
}

/// Java's `long`: eight bytes.
pub(super) fn long(bytes: &[u8]) -> Option<i64> {
    Some(i64::from_be_bytes(bytes.try_into().ok()?)).filter(|number| *number >= 0)
}

/// Java's `BigInteger`: as many bytes as it needs, with a sign.
pub(super) fn big_integer(bytes: &[u8]) -> Option<i64> {
    let first = *bytes.first()?;
    if bytes.len() > 8 || first >= 0x80 {
        return None;
    }
    Some(bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte)))
}

/// RFC 3339.
pub(super) fn time(bytes: &[u8]) -> Option<Timestamp> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// Milliseconds since 1970.
pub(super) fn moment(millis: i64) -> Option<Timestamp> {
    Timestamp::from_millisecond(millis).ok()
}
