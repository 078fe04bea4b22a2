//! One line of the report.

use std::fmt;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at, such as `topic orders.created`.
    pub subject: String,
    /// How it stands.
    pub state: State,
    /// What was found, with its figures.
    pub found: String,
    /// What to do, where there is something to do.
    pub advice: Option<String>,
}

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// As it should be.
    Fine,
    /// Works, and may surprise.
    Warning,
    /// Does not work, or loses or doubles events.
    Problem,
}

impl Finding {
    pub(crate) fn fine(subject: impl Into<String>, found: impl Into<String>) -> Self {
        Self { subject: subject.into(), state: State::Fine, found: found.into(), advice: None }
    }

    pub(crate) fn warning(
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { state: State::Warning, advice: Some(advice.into()), ..Self::fine(subject, found) }
    }

    pub(crate) fn problem(
        subject: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self { state: State::Problem, advice: Some(advice.into()), ..Self::fine(subject, found) }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fine => "fine",
            Self::Warning => "warning",
            Self::Problem => "PROBLEM",
        })
    }
}

/// Whether a worker should not be started like this.
#[must_use]
pub fn failed(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.state == State::Problem)
}
