//! Letters as people and programs read them.

use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::{
    Header, check,
    letters::{Act, Counts, Found, Group, Report, Standing, State},
};

/// So much of an error in a line of a list.
const LONGEST: usize = 100;

fn table<const COLUMNS: usize>(head: [&str; COLUMNS]) -> Table {
    let mut table = Table::new();
    let is_terminal = check::terminal_width().is_some();
    let style = if is_terminal { presets::UTF8_FULL_CONDENSED } else { presets::ASCII_MARKDOWN };
    table.load_style(style).set_header(head);
    table
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// What moves the cursor of a terminal is shown and not done.
fn legible(text: &str) -> String {
    let shown =
        |c: char| if c.is_control() && c != '\n' { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

fn name(state: State) -> String {
    json!(state).as_str().unwrap_or_default().to_owned()
}

pub(super) fn list(found: &[Found], has_more: bool) -> String {
    if found.is_empty() {
        return "no letters".to_owned();
    }
    let mut table = table([
        "letter",
        "state",
        "handler",
        "disposition",
        "attempts",
        "redrives",
        "failed at",
        "key",
        "error",
    ]);
    for one in found {
        let told = &one.letter.told;
        let time = told.last_failure.map(|time| time.to_string());
        let error: String = one.letter.error().chars().take(LONGEST).collect();
        table.add_row([
            one.letter.place.to_string(),
            name(one.state()),
            or_dash(told.handler.as_deref()),
            or_dash(told.disposition.as_deref()),
            told.attempts.map_or_else(|| "-".to_owned(), |attempts| attempts.to_string()),
            told.redrives.to_string(),
            or_dash(time.as_deref()),
            legible(&or_dash(told.dedupe_key.as_deref())),
            or_dash(Some(&error)),
        ]);
    }
    let mut topics: Vec<&str> = found.iter().map(|one| one.letters.as_str()).collect();
    topics.dedup();
    let more = if has_more { "; there are more: --max N shows them" } else { "" };
    format!("{table}\n{} of {}{more}", letters(found.len() as u64), topics.join(", "))
}

fn letters(count: u64) -> String {
    if count == 1 { "1 letter".to_owned() } else { format!("{count} letters") }
}

pub(super) fn groups(groups: &[Group]) -> String {
    if groups.is_empty() {
        return "no letters".to_owned();
    }
    let mut table =
        table(["group", "count", "handler", "disposition", "error", "first", "last", "one of them", "topic"]);
    for group in groups {
        let time = |time: Option<jiff::Timestamp>| or_dash(time.map(|time| time.to_string()).as_deref());
        table.add_row([
            group.id.clone(),
            group.count.to_string(),
            or_dash(group.handler.as_deref()),
            or_dash(group.disposition.as_deref()),
            or_dash(Some(&group.error)),
            time(group.first),
            time(group.last),
            group.sample.to_string(),
            group.letters.clone(),
        ]);
    }
    if let Some(counts) = table.column_mut(1) {
        counts.set_cell_alignment(CellAlignment::Right);
    }
    let all: u64 = groups.iter().map(|group| group.count).sum();
    format!("{table}\n{}; a group is meant by --filter group=ID", letters(all))
}

fn counts(counts: &Counts) -> String {
    let Counts { open, redriven, discarded, parked, other } = counts;
    let other = if *other > 0 { format!(", {other} marked by a later version") } else { String::new() };
    format!("{open} open, {redriven} redriven, {discarded} discarded, {parked} parked{other}")
}

pub(super) fn status(standing: &[Standing]) -> String {
    let lines = standing.iter().flat_map(|Standing { letters, counts: its, waiting }| {
        let waiting =
            waiting.iter().map(|waiting| format!("{}: {} wait for a worker", waiting.topic, waiting.records));
        std::iter::once(format!("{letters}: {}", counts(its))).chain(waiting)
    });
    lines.collect::<Vec<_>>().join("\n")
}

pub(super) fn letter(found: &Found, payload: bool) -> String {
    let record = &found.record;
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("null".to_owned(), |bytes| legible(&String::from_utf8_lossy(bytes)))
    };
    let size = found.letter.bytes.map_or("null".to_owned(), |bytes| format!("{bytes} bytes"));
    let by = found.mark.as_ref().map(|mark| format!(", by {} at {}", mark.who, mark.at)).unwrap_or_default();
    let mut lines = vec![
        format!("{} of {}: {}{by}", found.letter.place, found.letters, name(found.state())),
        format!("format: {}", json!(found.letter.format).as_str().unwrap_or_default()),
        "headers:".to_owned(),
    ];
    let header =
        |header: &Header| format!("  {}: {}", text(Some(&header.name)), text(header.value.as_deref()));
    lines.extend(record.headers.iter().map(header));
    if payload {
        lines.push(format!("key: {}", text(record.key.as_deref())));
        lines.push(format!("value, {size}:\n{}", text(record.value.as_deref())));
    } else {
        lines.push(format!("value: {size}; --payload shows it"));
    }
    lines.join("\n")
}

/// What was done, or would be.
pub(super) fn report(report: &Report) -> String {
    let would = if report.audit.is_none() { "would be: " } else { "" };
    let again = match (&report.error, &report.audit) {
        (Some(_), Some(_)) => {
            "\nThe same command goes on where this one has stopped: what was dealt with is left out."
        }
        (None, Some(_)) if report.total().parked > 0 => {
            "\nWhat was parked had been redriven too often: --from-topic with the parking topic and a greater --cap sends it again."
        }
        _ => "",
    };
    format!("{would}{}{again}", report.sentence())
}

pub(super) fn question(report: &Report) -> String {
    let total = report.total();
    match report.act {
        Act::Redrive => format!("Redrive {}?", letters(total.redriven + total.parked)),
        Act::Discard => format!("Mark {} as dealt with?", letters(total.discarded)),
    }
}
