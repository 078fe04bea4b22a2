//! From a letter to the record that is sent. Pure.

use bytes::Bytes;

use super::{Drawer, Format, Letter, drawer::parking_topic};
use crate::{
    Header, Record,
    pipeline::{NewRecord, dead_letter::HEADER_PREFIX, sent_on::redrive_topic},
};

/// A letter that does not tell the place of its record gets one that no record of the source can have: otherwise it
/// could be taken for another one.
const NO_PLACE: i64 = 1 << 62;

/// What is sent instead of a letter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit(pub(crate) Bytes);

impl Edit {
    /// Tells values apart without showing them.
    pub(crate) fn digest(value: &[u8]) -> String {
        blake3::hash(value).to_hex().to_string()
    }
}

/// What becomes of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    /// A copy for the group's workers.
    Copy(NewRecord),
    /// The letter as it is, for a person: it was redriven often enough.
    Parked(NewRecord),
}

/// Why a letter cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(super) enum Unfit {
    #[error("its headers are those of no letter: nothing says where it belongs")]
    Unknown,
    #[error("it belongs to the group {0}")]
    OtherGroup(String),
    #[error("it names the topic {0}, which the service does not consume; --to sends it to one that it does")]
    OtherTopic(String),
    #[error("it lies among the letters of {expected} and names the topic {named}")]
    WrongTopic { expected: String, named: String },
    #[error("it names the handler {0}, which {1} does not have")]
    NoHandler(String, String),
    #[error("its value was too large for a letter, and its record is not in its topic any more")]
    NoValue,
}

impl Drawer {
    /// The topic that a letter's copy is for, and the handler; no handler lets the type choose.
    pub(super) fn target<'a>(&'a self, letter: &'a Letter) -> Result<(&'a str, Option<&'a str>), Unfit> {
        let told = &letter.told;
        let is_ours = letter.format == Format::Oncewise;
        let named = match (&self.to, &told.topic) {
            (Some(to), _) => to,
            (None, Some(topic)) if letter.format != Format::Unknown => topic,
            _ => return Err(Unfit::Unknown),
        };
        if is_ours && let Some(group) = told.group.as_ref().filter(|group| **group != self.group) {
            return Err(Unfit::OtherGroup(group.clone()));
        }
        if let Some(expected) = self.source.as_ref().filter(|source| *source != named) {
            return Err(Unfit::WrongTopic { expected: expected.clone(), named: named.clone() });
        }
        let Some(handlers) = self.targets.get(named) else { return Err(Unfit::OtherTopic(named.clone())) };
        let handler = self.handler.as_ref().or(told.handler.as_ref().filter(|_| is_ours));
        match handler.filter(|handler| !handlers.contains(*handler)) {
            Some(unknown) => Err(Unfit::NoHandler(unknown.clone(), named.clone())),
            None => Ok((named, handler.map(String::as_str))),
        }
    }

    /// What is sent for a letter: of `record`, which is the letter itself, or the record that it is about where its value
    /// was too large.
    pub(super) fn send(
        &self,
        letter: &Letter,
        record: &Record,
        edit: Option<&Edit>,
        cap: u32,
    ) -> Result<Sent, Unfit> {
        let (topic, handler) = self.target(letter)?;
        let told = &letter.told;
        let (key, value, headers) = (record.key.clone(), record.value.clone(), record.headers.clone());
        let partition = told.partition.unwrap_or(letter.place.partition);
        if told.redrives >= cap {
            let (topic, timestamp) = (parking_topic(topic, &self.group), record.timestamp);
            let partition = Some(partition);
            return Ok(Sent::Parked(NewRecord { topic, partition, timestamp, key, value, headers }));
        }
        let mut headers = letter.format.original(&headers);
        let mut ours =
            |name: &str, value: String| headers.push(Header::text(format!("{HEADER_PREFIX}{name}"), value));
        let offset = told.offset.unwrap_or_else(|| NO_PLACE.saturating_add(letter.place.offset));
        let timestamp = told.timestamp.or(letter.timestamp);
        ours("original-topic", topic.to_owned());
        ours("original-partition", partition.to_string());
        ours("original-offset", offset.to_string());
        if let Some(timestamp) = timestamp {
            ours("original-timestamp", timestamp.to_string());
        }
        ours("group", self.group.clone());
        if let Some(handler) = handler {
            ours("handler", handler.to_owned());
        }
        if let Some(key) = &told.dedupe_key {
            ours("dedupe-key", key.clone());
        }
        ours("redrive-count", told.redrives.saturating_add(1).to_string());
        ours("hop", told.hop.saturating_add(1).to_string());
        let value = edit.map_or(value, |edit| Some(edit.0.clone()));
        let (topic, partition) = (redrive_topic(topic, &self.group), Some(partition));
        Ok(Sent::Copy(NewRecord { topic, partition, timestamp, key, value, headers }))
    }
}

#[cfg(test)]
#[path = "copy_tests.rs"]
mod tests;
