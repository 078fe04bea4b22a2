//! What the verbs of operators share: the question before, and why nothing was done.

use std::{io::Write, process::ExitCode};

use super::{FAILED, USAGE};
use crate::replay::ReplayError;

/// Says why nothing was done, to machines as JSON.
pub(super) fn ended(json: bool, error: ReplayError) -> ExitCode {
    let (code, reason) = match error {
        ReplayError::Order(problem) => (USAGE, problem),
        error => (FAILED, error.to_string()),
    };
    if json {
        println!("{}", serde_json::json!({ "error": reason }));
    } else {
        eprintln!("{reason}");
    }
    ExitCode::from(code)
}

/// Whether the person at the terminal says yes.
pub(super) fn confirmed() -> bool {
    let mut answer = String::new();
    let read = std::io::stderr().flush().and_then(|()| std::io::stdin().read_line(&mut answer));
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}
