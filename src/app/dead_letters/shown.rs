//! Letters as people and programs read them.

use base64::{Engine, prelude::BASE64_STANDARD};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::looking::{Found, Standing};
use crate::{
    Record, check,
    letters::{Act, Counts, Done, Group, LettersError, State, Wish},
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

fn state(found: &Found) -> State {
    found.mark.as_ref().map_or(State::Open, |mark| mark.state)
}

fn name(state: State) -> String {
    json!(state).as_str().unwrap_or_default().to_owned()
}

pub(super) fn found_json(found: &Found) -> Value {
    let mut value = json!(found.letter);
    value["letters"] = found.letters.clone().into();
    value["state"] = json!(state(found));
    value["mark"] = json!(found.mark);
    value
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
            name(state(one)),
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
    format!("{table}\n{} letters of {}{more}", found.len(), topics.join(", "))
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
    format!("{table}\n{all} letters; a group is meant by --filter group=ID")
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

pub(super) fn status_json(standing: &[Standing]) -> Value {
    let topics = standing.iter().map(|Standing { letters, counts, waiting }| {
        let mut value = json!(counts);
        value["letters"] = letters.clone().into();
        value["waiting"] = json!(waiting);
        value
    });
    json!({ "topics": topics.collect::<Vec<_>>() })
}

/// Bytes as text, or else in base 64.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

pub(super) fn letter_json(found: &Found, record: &Record, payload: bool) -> Value {
    let mut value = found_json(found);
    let header = |header: &crate::Header| json!([bytes(Some(&header.name)), bytes(header.value.as_deref())]);
    value["headers"] = record.headers.iter().map(header).collect();
    if payload {
        value["key"] = bytes(record.key.as_deref());
        value["value"] = bytes(record.value.as_deref());
    }
    value
}

pub(super) fn letter(found: &Found, record: &Record, payload: bool) -> String {
    let text = |bytes: Option<&[u8]>| {
        bytes.map_or("null".to_owned(), |bytes| legible(&String::from_utf8_lossy(bytes)))
    };
    let size = found.letter.bytes.map_or("null".to_owned(), |bytes| format!("{bytes} bytes"));
    let by = found.mark.as_ref().map(|mark| format!(", by {} at {}", mark.who, mark.at)).unwrap_or_default();
    let mut lines = vec![
        format!("{} of {}: {}{by}", found.letter.place, found.letters, name(state(found))),
        format!("format: {}", json!(found.letter.format).as_str().unwrap_or_default()),
        "headers:".to_owned(),
    ];
    let header =
        |header: &crate::Header| format!("  {}: {}", text(Some(&header.name)), text(header.value.as_deref()));
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
pub(super) struct Report<'a> {
    pub(super) act: Act,
    pub(super) is_dry: bool,
    /// The act's name in the audit topic.
    pub(super) audit: Option<&'a str>,
    /// By the topics of the letters.
    pub(super) topics: &'a [(String, Done)],
    pub(super) error: Option<&'a LettersError>,
}

impl Report<'_> {
    fn total(&self) -> Done {
        let mut total = Done::default();
        for (_, done) in self.topics {
            total.redriven += done.redriven;
            total.parked += done.parked;
            total.discarded += done.discarded;
            total.before += done.before;
            for (why, (count, place)) in &done.refused {
                total.refused.entry(why.clone()).or_insert((0, *place)).0 += count;
            }
        }
        total
    }

    /// Whether every letter that was meant was dealt with, and those that were named are there.
    pub(super) fn has_all(&self, wish: &Wish) -> bool {
        let total = self.total();
        total.refused.is_empty() && total.all() + total.before >= wish.places.len() as u64
    }

    /// What was done, in one line.
    pub(super) fn sentence(&self) -> String {
        let total = self.total();
        let mut parts = match self.act {
            Act::Redrive => vec![format!("{} redriven", total.redriven), format!("{} parked", total.parked)],
            Act::Discard => vec![format!("{} discarded", total.discarded)],
        };
        if total.before > 0 {
            parts.push(format!("{} dealt with before", total.before));
        }
        parts.extend(
            total
                .refused
                .iter()
                .map(|(why, (count, place))| format!("{count} refused, such as {place}: {why}")),
        );
        let error =
            self.error.map(|error| format!("; it ended before its time: {error}")).unwrap_or_default();
        format!("{}{error}", parts.join(", "))
    }

    pub(super) fn text(&self) -> String {
        let would = if self.is_dry { "would be: " } else { "" };
        let again = match self.error {
            Some(_) => {
                "\nThe same command goes on where this one has stopped: what was dealt with is left out."
            }
            None if !self.is_dry && self.total().parked > 0 => {
                "\nWhat was parked had been redriven too often: --from-topic with the parking topic and a greater --cap sends it again."
            }
            None => "",
        };
        format!("{would}{}{again}", self.sentence())
    }

    pub(super) fn question(&self) -> String {
        let total = self.total();
        match self.act {
            Act::Redrive => format!("Redrive {} letters?", total.redriven + total.parked),
            Act::Discard => format!("Mark {} letters as dealt with?", total.discarded),
        }
    }

    pub(super) fn json(&self) -> Value {
        let topics = self.topics.iter().map(|(letters, done)| {
            let mut value = json!(done);
            let refused = done.refused.iter();
            let refused =
                refused.map(|(why, (count, place))| json!({ "reason": why, "count": count, "one": place }));
            value["refused"] = refused.collect();
            value["letters"] = letters.clone().into();
            value
        });
        json!({
            "dry_run": self.is_dry,
            "act": self.audit,
            "topics": topics.collect::<Vec<_>>(),
            "error": self.error.map(ToString::to_string),
        })
    }
}
