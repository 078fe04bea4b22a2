//! Records that we have sent on ourselves, to be tried again or later: what their headers say of the records that they
//! were made from. Pure.
//!
//! These headers are believed on topics of ours alone. Who may write there may have any handler run; on all other
//! topics they mean nothing.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    dead_letter::{Disposition, HEADER_PREFIX, rfc3339},
    decode::{Decoded, decode, decode_for},
    limits::Limits,
    produce::NewRecord,
    route::Route,
};
use crate::{Header, Record, routes::Table};

/// The topic to which dead letters of a group are sent to be tried again; every worker of the group consumes it.
#[must_use]
pub fn redrive_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.redrive")
}

/// What a copy says of the record that it was made from, and of its way so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SentOn {
    /// Where the record was, and its time.
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: Option<i64>,
    /// Who is to handle it; `None` leaves that to its type.
    pub(crate) handler: Option<String>,
    /// How often it was sent on, this time included.
    pub(crate) hop: u32,
    /// How often a person has sent it back.
    pub(crate) redrives: u32,
    /// Attempts so far, and when the first of them failed. Who sends it back lets it begin anew.
    pub(crate) attempts: u32,
    pub(crate) first_failure_ms: Option<i64>,
    /// Not to be tried before.
    pub(crate) due_ms: Option<i64>,
    /// What its content hashed to when it was claimed first.
    pub(crate) fingerprint: Option<u64>,
}

/// When and why a copy is sent on once more.
#[derive(Debug)]
pub(super) struct Again<'a> {
    pub(super) group: &'a str,
    pub(super) handler: &'a str,
    pub(super) dedupe_key: &'a str,
    /// That of the topic where it waits.
    pub(super) delay: Duration,
    pub(super) now_ms: i64,
    pub(super) due_ms: i64,
    pub(super) attempts: u32,
    pub(super) first_failure_ms: Option<i64>,
    pub(super) fingerprint: Option<u64>,
}

/// A fingerprint, as 16 hexadecimal digits.
struct Print(u64);

impl fmt::Display for Print {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Print {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_whole = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u64::from_str_radix(text, 16).ok().filter(|_| is_whole).map(Self).ok_or(())
    }
}

/// The copy of a record that is to wait: as it came, where it came from, and when it is due. It is stamped with the
/// present, for it waits for its topic's delay from then on.
pub(super) fn copy(record: &Record, sent: &SentOn, again: &Again<'_>) -> NewRecord {
    let mut headers = sent.original(record).headers;
    let mut ours =
        |name: &str, value: String| headers.push(Header::text(format!("{HEADER_PREFIX}{name}"), value));
    ours("original-topic", sent.topic.to_string());
    ours("original-partition", sent.partition.to_string());
    ours("original-offset", sent.offset.to_string());
    if let Some(timestamp) = sent.timestamp {
        ours("original-timestamp", timestamp.to_string());
    }
    ours("group", again.group.to_owned());
    ours("handler", again.handler.to_owned());
    ours("dedupe-key", again.dedupe_key.to_owned());
    ours("attempts", again.attempts.to_string());
    if let Some(first_failure_ms) = again.first_failure_ms {
        ours("first-failure-at", rfc3339(first_failure_ms));
    }
    ours("due-at", rfc3339(again.due_ms));
    if let Some(fingerprint) = again.fingerprint {
        ours("fingerprint", Print(fingerprint).to_string());
    }
    ours("redrive-count", sent.redrives.to_string());
    ours("hop", sent.hop.saturating_add(1).to_string());
    NewRecord {
        topic: retry_topic(&sent.topic, again.group, again.delay),
        partition: Some(sent.partition),
        timestamp: Some(again.now_ms),
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

/// The topic in which events of a group wait for so long.
#[must_use]
pub fn retry_topic(topic: &str, group: &str, delay: Duration) -> String {
    let delay = humantime::format_duration(delay).to_string().replace(' ', "");
    format!("{topic}.{group}.retry.{delay}")
}

/// Whether records of `source` come again to this group by this topic of ours, with whatever delay.
pub(crate) fn is_of_copies(topic: &str, source: &str, group: &str) -> bool {
    topic == redrive_topic(source, group)
        || source_and_delay(topic, group).is_some_and(|(of, _)| of == source)
}

/// Whose records wait in this topic to be tried later by the group, and for how long; `None` if it is no such topic.
pub(crate) fn source_and_delay<'a>(topic: &'a str, group: &str) -> Option<(&'a str, Duration)> {
    let (source, delay) = topic.rsplit_once(&format!(".{group}.retry."))?;
    let delay = humantime::parse_duration(delay).ok().filter(|delay| delay.as_millis() > 0)?;
    (!source.is_empty()).then_some((source, delay))
}

/// The dedupe key under which a copy was known when it was sent on.
pub(super) fn dedupe_key(copy: &Record) -> Option<String> {
    found(copy, "dedupe-key")
}

impl SentOn {
    /// Reads the headers of a copy of a record of `source`, or says why it is none.
    pub(crate) fn read(record: &Record, source: &Arc<str>) -> Result<Self, String> {
        let hop = needed(record, "hop")?;
        if hop == 0 {
            return Err(wrong("hop", "0"));
        }
        if needed::<String>(record, "original-topic")? != **source {
            return Err(wrong("original-topic", "another topic than this one is for"));
        }
        Ok(Self {
            topic: Arc::clone(source),
            partition: needed(record, "original-partition")?,
            offset: needed(record, "original-offset")?,
            timestamp: optional(record, "original-timestamp")?,
            handler: optional(record, "handler")?,
            hop,
            redrives: optional(record, "redrive-count")?.unwrap_or(0),
            attempts: 0,
            first_failure_ms: None,
            due_ms: None,
            fingerprint: None,
        })
    }

    /// The same of a copy that was to be tried later: what it says of its attempts and of its time counts, too.
    pub(super) fn read_later(record: &Record, source: &Arc<str>) -> Result<Self, String> {
        let time =
            |name| Ok::<_, String>(optional::<Timestamp>(record, name)?.map(Timestamp::as_millisecond));
        Ok(Self {
            attempts: needed(record, "attempts")?,
            first_failure_ms: time("first-failure-at")?,
            due_ms: time("due-at")?,
            fingerprint: optional::<Print>(record, "fingerprint")?.map(|print| print.0),
            ..Self::read(record, source)?
        })
    }

    /// Of a record of `source` that was never sent on.
    pub(super) fn first(record: &Record, source: &Arc<str>) -> Self {
        Self {
            topic: Arc::clone(source),
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            handler: None,
            hop: 0,
            redrives: 0,
            attempts: 0,
            first_failure_ms: None,
            due_ms: None,
            fingerprint: None,
        }
    }

    /// Of what is no copy of ours and yet came by a topic of ours for `source`: as much as it says.
    pub(crate) fn guess(record: &Record, source: &Arc<str>) -> Self {
        Self {
            topic: Arc::clone(source),
            partition: found(record, "original-partition").unwrap_or(record.partition),
            // Nobody knows.
            offset: found(record, "original-offset").unwrap_or(-1),
            timestamp: record.timestamp,
            handler: found(record, "handler"),
            hop: found(record, "hop").unwrap_or(0),
            redrives: found(record, "redrive-count").unwrap_or(0),
            attempts: 0,
            first_failure_ms: None,
            due_ms: None,
            fingerprint: None,
        }
    }

    /// The record that it was made from: where it was, and without our headers.
    pub(crate) fn original(&self, record: &Record) -> Record {
        let is_foreign = |header: &&Header| !header.name.starts_with(HEADER_PREFIX.as_bytes());
        Record {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            offset: self.offset,
            timestamp: self.timestamp,
            key: record.key.clone(),
            value: record.value.clone(),
            headers: record.headers.iter().filter(is_foreign).cloned().collect(),
        }
    }
}

/// Decodes the record that a copy was made from. It is for the handler that it names and for no other.
pub(super) fn decode_copy<'a>(
    table: &'a Table<Arc<Route>>,
    limits: Limits,
    source: &Arc<str>,
    waits: bool,
    record: &Record,
) -> (Option<&'a Arc<Route>>, Decoded) {
    let read = if waits { SentOn::read_later } else { SentOn::read };
    let sent = match read(record, source) {
        Ok(sent) => sent,
        Err(why) => return (None, Decoded::Unfit(Disposition::Undecodable, why)),
    };
    let original = Arc::new(sent.original(record));
    let (route, decoded) = match &sent.handler {
        None => decode(table, limits, &original),
        Some(name) => match table.iter().find(|route| route.handler.name() == name) {
            Some(route) => (Some(route), decode_for(route, table.unknown, limits, &original)),
            None => {
                let why =
                    format!("it was sent to the handler {name:?}, and the service has none of that name");
                (None, Decoded::Unfit(Disposition::NoHandler, why))
            }
        },
    };
    // Somebody took it once: what nobody takes any more is shown to a person, and not skipped.
    let decoded = match decoded {
        Decoded::Unwanted(what) => {
            let why = format!("it was sent on to be handled, and it is {what}");
            Decoded::Unfit(Disposition::NoHandler, why)
        }
        other => other,
    };
    (route, decoded.sent_on(sent))
}

fn text<'a>(record: &'a Record, name: &str) -> Option<&'a [u8]> {
    record.header(&format!("{HEADER_PREFIX}{name}"))
}

fn found<T: FromStr>(record: &Record, name: &str) -> Option<T> {
    std::str::from_utf8(text(record, name)?).ok()?.parse().ok()
}

fn needed<T: FromStr>(record: &Record, name: &str) -> Result<T, String> {
    let read = optional(record, name)?;
    read.ok_or_else(|| format!("the header {HEADER_PREFIX}{name} is missing: this is no copy of ours"))
}

fn optional<T: FromStr>(record: &Record, name: &str) -> Result<Option<T>, String> {
    let Some(bytes) = text(record, name) else { return Ok(None) };
    let read = found(record, name);
    // Whoever wrote it may have put anything there, so it is not quoted.
    read.map(Some).ok_or_else(|| wrong(name, &format!("{} bytes as we never write them", bytes.len())))
}

fn wrong(name: &str, found: &str) -> String {
    format!("the header {HEADER_PREFIX}{name} is {found}: this is no copy of ours")
}

#[cfg(test)]
#[path = "sent_on_tests.rs"]
mod tests;
