//! What is wrong with a configuration, all of it at once.

use std::fmt;

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the default in the code.
    Default,
    /// In a file, at a line counted from 1.
    File {
        /// The path as it was opened.
        path: String,
        /// The line of the key.
        line: usize,
    },
    /// In the environment variable of this name.
    Environment(String),
    /// In the command line flag of this name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One thing that is wrong: what, where it was written and what is allowed instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key with dots, such as `dedupe.ttl`, or the flag; empty when a whole file is meant.
    pub key: String,
    /// The value as it may be shown: secrets are masked, and unknown keys have none, because a secret under a
    /// misspelt key is still a secret.
    pub value: Option<String>,
    /// Where it was written.
    pub origin: Option<Origin>,
    /// What is allowed, or why this is not.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        match &self.origin {
            Some(origin) if self.key.is_empty() => write!(f, "{origin}: ")?,
            Some(origin) => write!(f, " ({origin}): ")?,
            None => f.write_str(": ")?,
        }
        f.write_str(&self.message)
    }
}

/// Everything that is wrong, never empty, one numbered line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has a problem:")?,
            count => write!(f, "the configuration has {count} problems:")?,
        }
        for (number, problem) in (1..).zip(&self.0) {
            write!(f, "\n  {number}. {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_one_numbered_line() {
        let problems = Problems(vec![
            Problem {
                key: "worker.concurrency".into(),
                value: Some("0".into()),
                origin: Some(Origin::File { path: "config/prod.toml".into(), line: 12 }),
                message: "allowed is an integer from 1 to 100000".into(),
            },
            Problem {
                key: String::new(),
                value: None,
                origin: Some(Origin::File { path: "config/prod.toml".into(), line: 3 }),
                message: "invalid string".into(),
            },
        ]);
        assert_eq!(
            problems.to_string(),
            "the configuration has 2 problems:\n  \
             1. worker.concurrency = 0 (config/prod.toml:12): allowed is an integer from 1 to 100000\n  \
             2. config/prod.toml:3: invalid string"
        );
    }
}
