//! What went wrong in an attempt, as texts that may be logged and sent.

use std::time::Duration;

use super::panics;
use crate::{BoxError, Failure};

/// The longest error text, in bytes.
pub(crate) const MAX_ERROR_BYTES: usize = 1024;
/// The longest chain of causes, in bytes.
pub(crate) const MAX_CHAIN_BYTES: usize = 4096;

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failed {
    /// What the handler said, or what became of it.
    pub(crate) error: String,
    /// Its causes, outermost first, one a line; empty if there are none.
    pub(crate) chain: String,
    /// The delay that the handler asked for.
    pub(crate) after: Option<Duration>,
    /// Whether another attempt makes sense.
    pub(crate) retryable: bool,
}

impl Failed {
    /// A failure that is not the handler's own words.
    pub(crate) fn text(error: impl AsRef<str>) -> Self {
        Self {
            error: tidy(error.as_ref(), MAX_ERROR_BYTES),
            chain: String::new(),
            after: None,
            retryable: true,
        }
    }

    /// The same, with no further attempt.
    pub(crate) fn finally(error: impl AsRef<str>) -> Self {
        Self { retryable: false, ..Self::text(error) }
    }

    pub(crate) fn timed_out(limit: Duration) -> Self {
        Self::text(format!("the handler took longer than {}", humantime::format_duration(limit)))
    }

    /// Without the panic's own words: they may quote the payload, as those of `unwrap` do.
    pub(crate) fn panicked() -> Self {
        let place = panics::last_place().map_or_else(String::new, |place| format!(" at {place}"));
        Self::text(format!("the handler panicked{place}"))
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        let (cause, after, retryable) = match failure {
            Failure::Retry { cause, after } => (cause, after, true),
            Failure::Reject { cause } => (cause, None, false),
        };
        Self { error: tidy(&cause.to_string(), MAX_ERROR_BYTES), chain: chain(&cause), after, retryable }
    }
}

fn chain(error: &BoxError) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    let lines: Vec<String> = causes.map(|cause| tidy(&cause.to_string(), MAX_ERROR_BYTES)).collect();
    cut(&lines.join("\n"), MAX_CHAIN_BYTES)
}

/// One line without control characters: an error text must not forge log lines or move a terminal's cursor.
fn tidy(text: &str, limit: usize) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(plain.trim(), limit)
}

fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    const MARK: &str = "…";
    let end = text.floor_char_boundary(limit - MARK.len());
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("inner")]
    struct Inner(#[source] std::io::Error);

    #[test]
    fn the_chain_lists_the_causes_outermost_first() {
        let failed = Failed::from(Failure::reject(Outer(Inner(std::io::Error::other("root")))));
        assert_eq!((failed.error.as_str(), failed.chain.as_str()), ("outer", "inner\nroot"));
        assert!(!failed.retryable);
    }

    #[test]
    fn texts_are_one_clean_line_of_bounded_length() {
        let failed = Failed::from(Failure::retry(format!("a\r\nb\u{1b}[2J{}", "é".repeat(2000))));
        assert!(failed.error.starts_with("a  b [2J"), "{}", failed.error);
        assert!(failed.error.len() <= MAX_ERROR_BYTES && failed.error.ends_with('…'));
    }
}
