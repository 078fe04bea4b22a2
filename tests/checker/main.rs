//! The checker as a command: `cargo run --example checker -- FOLDER`. Exits with 1 if an invariant was violated.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "tests use the rest")]

#[path = "mod.rs"]
mod checker;
#[cfg(test)]
#[path = "tests.rs"]
mod tests;

use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("checker FOLDER: the folder of the evidence");
        return ExitCode::from(2);
    };
    match checker::check(&folder) {
        Ok(report) => {
            print!("{report}");
            ExitCode::from(u8::from(!report.violated().is_empty()))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}
