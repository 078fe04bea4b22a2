//! What the verbs of operators share: which service it is about, the question before, and why nothing was done.

use std::{io::Write, process::ExitCode};

use super::{FAILED, USAGE};
use crate::{Service, replay::ReplayError};

/// The service of this name, or the only one.
pub(super) fn chosen<'a>(services: &'a [Service], name: Option<&str>) -> Result<&'a Service, String> {
    let names = || services.iter().map(Service::name).collect::<Vec<_>>().join(", ");
    match (name, services) {
        (Some(name), _) => services
            .iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| format!("--service {name}: there is no such service; there are {}", names())),
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("--service: say which one; there are {}", names())),
    }
}

/// Says why nothing was done, to machines as JSON.
pub(super) fn ended(json: bool, error: ReplayError) -> ExitCode {
    let (code, reason) = match error {
        ReplayError::Order(problem) => (USAGE, problem),
        ReplayError::Trouble(reason) => (FAILED, reason),
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
