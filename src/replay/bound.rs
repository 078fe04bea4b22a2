//! One end of a range: a time or an offset. Pure: the present is passed in.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One end of what is replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Bound {
    /// Milliseconds since 1970; each partition has its own offset for it.
    Time(i64),
    /// The same offset in every partition.
    Offset(i64),
}

/// What may be written.
const ALLOWED: &str = "allowed are RFC 3339 with a zone (2026-01-31T08:00:00Z), a time that has passed since (\"2h ago\", \"3days ago\"), now, or an offset (1200)";

/// A text that names no place in a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a time nor an offset; {ALLOWED}")]
pub struct BoundError(String);

impl Bound {
    /// Reads a bound as a person writes it, at the time `now`.
    ///
    /// # Errors
    /// The text, and what is allowed.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, BoundError> {
        let text = text.trim();
        let wrong = || BoundError(text.to_owned());
        if text == "now" {
            return Ok(Self::Time(now.as_millisecond()));
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Offset).map_err(|_| wrong());
        }
        if let Some(since) = text.strip_suffix("ago") {
            let since: Duration = humantime::parse_duration(since.trim()).map_err(|_| wrong())?;
            let millis = i64::try_from(since.as_millis()).map_err(|_| wrong())?;
            return Ok(Self::Time(now.as_millisecond().saturating_sub(millis)));
        }
        text.parse::<Timestamp>().map(|time| Self::Time(time.as_millisecond())).map_err(|_| wrong())
    }

    /// Milliseconds since 1970, of a time.
    pub(crate) fn time(self) -> Option<i64> {
        match self {
            Self::Time(millis) => Some(millis),
            Self::Offset(_) => None,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(millis) => match Timestamp::from_millisecond(*millis) {
                Ok(time) => write!(f, "{time}"),
                Err(_) => write!(f, "{millis} ms"),
            },
            Self::Offset(offset) => write!(f, "offset {offset}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Bound, String> {
        let now = "2026-01-31T12:00:00Z".parse().unwrap();
        Bound::parse(text, now).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Result<Bound, String> {
        Ok(Bound::Time(text.parse::<Timestamp>().unwrap().as_millisecond()))
    }

    #[test]
    fn times_are_written_in_several_ways() {
        assert_eq!(parse("2026-01-31T08:00:00Z"), at("2026-01-31T08:00:00Z"));
        assert_eq!(parse("2026-01-31T10:00:00+02:00"), at("2026-01-31T08:00:00Z"));
        assert_eq!(parse("2h ago"), at("2026-01-31T10:00:00Z"));
        assert_eq!(parse("1h 30m ago"), at("2026-01-31T10:30:00Z"));
        assert_eq!(parse("3days ago"), at("2026-01-28T12:00:00Z"));
        assert_eq!(parse("now"), at("2026-01-31T12:00:00Z"));
        assert_eq!(parse("1200"), Ok(Bound::Offset(1200)));
    }

    #[test]
    fn anything_else_is_refused_with_what_is_allowed() {
        for text in
            ["", "yesterday", "2026-01-31", "2026-01-31T08:00:00", "-5", "2h", "ago", "99999999999999999999"]
        {
            let refusal = parse(text).unwrap_err();
            assert!(
                refusal.starts_with(&format!("`{text}` is neither a time nor an offset; allowed are")),
                "{refusal}"
            );
        }
    }
}
