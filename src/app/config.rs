//! `config`: the configuration in effect.

use std::process::ExitCode;

use super::FINE;
use crate::config::Settings;

pub(super) fn show(settings: &Settings) -> ExitCode {
    print!("{}", settings.render());
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    ExitCode::from(FINE)
}
