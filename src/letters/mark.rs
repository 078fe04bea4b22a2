//! What has become of a letter: a record in a compacted topic, in the same transaction as what was done.
//!
//! The key is the letter's place, the value JSON. A letter without a mark is open. Offsets of a topic that was made
//! again mean other letters, so a mark names the topic's id where brokers tell it.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::{Record, pipeline::NewRecord};

/// How a letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Nobody has dealt with it
    Open,
    /// It was sent to its handler again
    Redriven,
    /// A person decided that nothing more is to be done
    Discarded,
    /// It had been redriven too often, and lies in the parking topic
    Parked,
    /// A later version says something that this one does not know.
    #[serde(other)]
    #[value(skip)]
    Other,
}

/// What is written down of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) state: State,
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    /// The act in the audit topic.
    pub(crate) act: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) topic_id: Option<String>,
    /// The digest of what was sent instead of the letter's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) edited: Option<String>,
}

impl Mark {
    /// As it is written.
    pub(crate) fn record(&self, topic: &str, place: Place) -> NewRecord {
        NewRecord {
            topic: topic.to_owned(),
            partition: None,
            timestamp: None,
            key: Some(place.to_string().into()),
            // Of texts, times and names: there is nothing that could not be written.
            value: Some(serde_json::to_vec(self).map(Bytes::from).unwrap_or_default()),
            headers: Vec::new(),
        }
    }

    /// What is not ours, or not legible, marks its letter all the same: something was done, and it must not be done twice.
    pub(crate) fn read(record: &Record) -> Option<(Place, Self)> {
        let place = std::str::from_utf8(record.key.as_deref()?).ok()?.parse().ok()?;
        let mark = serde_json::from_slice(record.value.as_deref()?).unwrap_or_else(|_| Self {
            state: State::Other,
            at: Timestamp::UNIX_EPOCH,
            who: String::new(),
            act: String::new(),
            topic_id: None,
            edited: None,
        });
        Some((place, mark))
    }
}

/// The marks of one topic of letters.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    marks: BTreeMap<Place, Mark>,
    /// The topic of the letters that lie there now.
    topic_id: Option<String>,
}

impl Marks {
    pub(super) fn of(topic_id: Option<String>) -> Self {
        Self { marks: BTreeMap::new(), topic_id }
    }

    pub(super) fn topic_id(&self) -> Option<&str> {
        self.topic_id.as_deref()
    }

    /// The last one about a letter counts.
    pub(super) fn add(&mut self, place: Place, mark: Mark) {
        let is_of_another =
            matches!((&self.topic_id, &mark.topic_id), (Some(here), Some(its)) if here != its);
        if !is_of_another {
            self.marks.insert(place, mark);
        }
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Mark> {
        self.marks.get(&place)
    }
}

/// Whatever lies under the key of a letter marks it, and what was read is written as it was read.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(record: &Record) {
    let Some((place, mark)) = Mark::read(record) else { return };
    let written = mark.record(&record.topic, place);
    let again = Record { key: written.key, value: written.value, ..record.clone() };
    assert_eq!(Mark::read(&again), Some((place, mark)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(state: State, topic_id: Option<&str>) -> Mark {
        let (at, who, act) = (Timestamp::UNIX_EPOCH, "ann@desk".to_owned(), "7".to_owned());
        Mark { state, at, who, act, topic_id: topic_id.map(str::to_owned), edited: None }
    }

    fn read_back(key: &str, value: Option<&str>) -> Option<(Place, Mark)> {
        Mark::read(&Record {
            topic: "marks".into(),
            partition: 0,
            offset: 0,
            timestamp: None,
            key: Some(key.to_owned().into()),
            value: value.map(|value| value.to_owned().into()),
            headers: Vec::new(),
        })
    }

    #[test]
    fn what_is_written_can_be_read_for_ever() {
        let place = Place { partition: 3, offset: 42 };
        let written = mark(State::Redriven, Some("id")).record("marks", place);
        let text =
            r#"{"state":"redriven","at":"1970-01-01T00:00:00Z","who":"ann@desk","act":"7","topic_id":"id"}"#;
        assert_eq!(
            (written.key.as_deref(), written.value.as_deref()),
            (Some(&b"3:42"[..]), Some(text.as_bytes()))
        );
        assert_eq!(read_back("3:42", Some(text)), Some((place, mark(State::Redriven, Some("id")))));
    }

    #[test]
    fn what_a_later_version_says_keeps_a_letter_from_being_sent_twice() {
        for later in ["{}", "2", r#"{"state":"burnt","at":"1970-01-01T00:00:00Z","who":"","act":""}"#] {
            let (_, mark) = read_back("3:42", Some(later)).unwrap();
            assert_eq!(mark.state, State::Other, "{later}");
        }
        assert_eq!(read_back("about something else", Some("{}")), None);
        assert_eq!(read_back("3:42", None), None);
    }

    #[test]
    fn what_was_marked_in_a_topic_of_the_same_name_is_not_marked_here() {
        let (one, other) = (Place { partition: 0, offset: 1 }, Place { partition: 0, offset: 2 });
        let mut marks = Marks::of(Some("here".to_owned()));
        marks.add(one, mark(State::Discarded, Some("there")));
        marks.add(other, mark(State::Discarded, Some("here")));
        marks.add(other, mark(State::Redriven, None));
        assert_eq!((marks.get(one), marks.get(other)), (None, Some(&mark(State::Redriven, None))));
    }
}
