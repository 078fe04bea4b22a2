//! A replay as people and programs read it.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::{
    check,
    replay::{Entry, Part, Sample, State, Survey, Tally, Verdict},
};

/// What a dry run has found.
pub(in crate::app) fn survey(survey: &Survey) -> String {
    let mut text = format!("{}\n", table(&survey.parts, true));
    for (verdict, samples) in &survey.samples {
        if matches!(verdict, Verdict::AlreadyDone | Verdict::Skipped) {
            continue;
        }
        let places = samples.iter().map(place).collect::<Vec<_>>().join(", ");
        text.push_str(&format!("\n{}: {places}", name(*verdict)));
    }
    if survey.passed > 0 {
        text.push_str(&format!(
            "\n\n{} of those that would run the live group has passed: somebody let them be forgotten, their keys are made otherwise now, or the store has lost them",
            survey.passed
        ));
    }
    if survey.at_most {
        text.push_str("\n\nat most: there are too many to tell them from their repeats");
    }
    text.trim_end().to_owned()
}

fn place(sample: &Sample) -> String {
    let time = sample.timestamp.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
    let time = time.map_or_else(String::new, |time| format!(" ({time})"));
    format!("{}:{}@{}{time}", sample.topic, sample.partition, sample.offset)
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::WillRun => "would run",
        Verdict::AlreadyDone => "already done",
        Verdict::AlreadyDead => "already dead",
        Verdict::InProgress => "in progress",
        Verdict::Unknown => "unknown",
        Verdict::LeftOut => "left out",
        Verdict::Skipped => "skipped",
        Verdict::Undecodable => "undecodable",
    }
}

/// How a replay went.
pub(super) fn entry(entry: &Entry) -> String {
    let settled = entry.tally().settled();
    let verdict = match entry.state {
        State::Finished if entry.tally().in_range() == 0 => "There is nothing in this range.".to_owned(),
        State::Finished => format!("Everything in the range is settled: {settled} records."),
        _ => format!(
            "Not everything in the range is settled: {}. Go on with: worker replay --resume {}",
            entry.why.as_deref().unwrap_or("it has not ended"),
            entry.id
        ),
    };
    format!("{}\n\n{verdict}", table(&entry.parts, false))
}

fn table(parts: &[Part], dry: bool) -> Table {
    let all = parts.iter().fold(Tally::default(), |mut all, part| {
        all += part.tally;
        all
    });
    let shown: Vec<usize> = all
        .columns()
        .iter()
        .enumerate()
        .filter(|(at, (_, count))| *at < 2 || *count > 0)
        .map(|(at, _)| at)
        .collect();
    let mut table = Table::new();
    let style = if check::terminal_width().is_some() {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::ASCII_MARKDOWN
    };
    let title = |at: &usize| if dry && *at == 0 { "would run" } else { all.columns()[*at].0 };
    let head = ["topic", "partition", "offsets"].into_iter().chain(shown.iter().map(title));
    table.load_style(style).set_header(head);
    for part in parts {
        let place = [part.topic.clone(), part.partition.to_string(), format!("{}..{}", part.begin, part.end)];
        let counts = shown.iter().map(|at| part.tally.columns()[*at].1.to_string());
        table.add_row(place.into_iter().chain(counts));
    }
    if parts.len() > 1 {
        let counts = shown.iter().map(|at| all.columns()[*at].1.to_string());
        table.add_row(["all", "", ""].map(str::to_owned).into_iter().chain(counts));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

pub(in crate::app) fn json(survey: &Survey) -> Value {
    survey.json()
}

/// The same where it keeps a replay from beginning.
pub(super) fn refused(survey: &Survey, reason: &str) -> Value {
    let mut shown = json(survey);
    shown["error"] = reason.into();
    shown
}

pub(super) fn entry_json(entry: &Entry) -> Value {
    json!({ "tally": entry.tally(), "replay": entry })
}

/// The same with what a person should know.
pub(super) fn warned(mut shown: Value, warnings: &[String]) -> Value {
    shown["warnings"] = json!(warnings);
    shown
}
