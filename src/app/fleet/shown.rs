//! Fleets as people read them.

use std::{process::ExitCode, time::Duration};

use comfy_table::{Table, presets};

use super::{FAILED, FINE};
use crate::{
    check,
    fleet::{Acted, Paused, PodHeeded},
};

/// What became of an order.
pub(super) fn acted(acted: &Acted, done: &str, wait: Duration) -> String {
    let scopes = acted.scopes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut text = format!("{}: {scopes} {done}.\n", acted.service);
    let pods = &acted.heeded.pods;
    if pods.is_empty() {
        text.push_str("\nNo pod of it has been heard of lately; those that start do as it says.");
        return text;
    }
    let mut table = table(["pod", "since", ""]);
    for PodHeeded { pod, since, heeded, heard_seconds } in pods {
        let how = if *heeded {
            format!("has {done}")
        } else {
            format!("NO ANSWER within {}; heard of {heard_seconds} s ago", humantime::format_duration(wait))
        };
        table.add_row([pod.clone(), format!("{since:.0}"), how]);
    }
    let heeded = pods.iter().filter(|pod| pod.heeded).count();
    text.push_str(&format!("\n{table}\n\n{heeded} of {} have {done}.", pods.len()));
    if !acted.heeded.by_all {
        text.push_str(" The others do when they read the control topic again, or are dead.");
    }
    text
}

/// Nothing of what was to go on was paused.
pub(super) fn nothing_to_resume(acted: &Acted) -> ExitCode {
    if acted.paused.is_empty() {
        println!("Nothing of {} is paused.", acted.service);
        return ExitCode::from(FINE);
    }
    println!(
        "That is not paused. Of {} this is, and goes on with --all:\n{}",
        acted.service,
        paused(&acted.paused)
    );
    ExitCode::from(FAILED)
}

/// One line each.
pub(super) fn paused(paused: &[Paused]) -> String {
    let line = |Paused { scope, pause }: &Paused| format!("  paused: {scope} {}", pause.text());
    paused.iter().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) fn table<const N: usize>(head: [&str; N]) -> Table {
    let mut table = Table::new();
    let is_terminal = check::terminal_width().is_some();
    table.load_style(if is_terminal { presets::UTF8_FULL_CONDENSED } else { presets::ASCII_MARKDOWN });
    table.set_header(head);
    table
}
