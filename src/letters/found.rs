//! Letters with what has become of them, as programs read them.

use std::{collections::BTreeSet, ops::ControlFlow};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{Counts, Desk, Drawer, Filter, Groups, Letter, LettersError, Mark, Place, State, Waiting};
use crate::{Header, Record};

/// A letter, where it lies and how it stands.
#[derive(Debug)]
pub(crate) struct Found {
    /// Their topic.
    pub(crate) letters: String,
    pub(crate) record: Record,
    pub(crate) letter: Letter,
    pub(crate) mark: Option<Mark>,
}

/// Which letters are looked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Search {
    pub(crate) filter: Filter,
    pub(crate) places: BTreeSet<Place>,
    /// Those that stand so; all of them without one.
    pub(crate) state: Option<State>,
}

/// How the letters of one topic stand.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) letters: String,
    pub(crate) counts: Counts,
    pub(crate) waiting: Vec<Waiting>,
}

impl Search {
    fn each(
        &self,
        desk: &Desk,
        drawer: &Drawer,
        mut each: impl FnMut(Record, Letter, Option<&Mark>) -> ControlFlow<()>,
    ) -> Result<(), LettersError> {
        drawer.look(&desk.client, &self.places, &desk.cancel, |record, letter, mark| {
            let stands = mark.map_or(State::Open, |mark| mark.state);
            if self.state.is_some_and(|state| state != stands) || !self.filter.takes(&letter) {
                return ControlFlow::Continue(());
            }
            each(record, letter, mark)
        })
    }

    /// So many letters, at most, and whether there are more. Without their values unless these are wanted. Blocks.
    pub(crate) fn list(
        &self,
        desk: &Desk,
        drawers: &[Drawer],
        most: usize,
        values: bool,
    ) -> Result<(Vec<Found>, bool), LettersError> {
        let (mut found, mut more) = (Vec::new(), false);
        for drawer in drawers {
            self.each(desk, drawer, |mut record, letter, mark| {
                if found.len() == most {
                    more = true;
                    return ControlFlow::Break(());
                }
                if !values {
                    record.value = None;
                }
                found.push(Found { letters: drawer.letters.clone(), record, letter, mark: mark.cloned() });
                ControlFlow::Continue(())
            })?;
        }
        Ok((found, more))
    }

    /// One line for each cause. Blocks.
    pub(crate) fn groups(&self, desk: &Desk, drawers: &[Drawer]) -> Result<Groups, LettersError> {
        let mut groups = Groups::default();
        for drawer in drawers {
            self.each(desk, drawer, |_, letter, _| {
                groups.add(&drawer.letters, &letter);
                ControlFlow::Continue(())
            })?;
        }
        Ok(groups)
    }
}

/// How many letters stand how, by their topics. Blocks.
pub(crate) fn standing(desk: &Desk, drawers: &[Drawer]) -> Result<Vec<Standing>, LettersError> {
    let of = |drawer: &Drawer| {
        let mut counts = Counts::default();
        drawer.look(&desk.client, &BTreeSet::new(), &desk.cancel, |_, _, mark| {
            counts.add(mark.map_or(State::Open, |mark| mark.state));
            ControlFlow::Continue(())
        })?;
        let waiting = drawer.waiting(&desk.client, &desk.cancel)?;
        Ok(Standing { letters: drawer.letters.clone(), counts, waiting })
    };
    drawers.iter().map(of).collect()
}

impl Standing {
    pub(crate) fn json(&self) -> Value {
        let mut value = json!(self.counts);
        value["letters"] = self.letters.clone().into();
        value["waiting"] = json!(self.waiting);
        value
    }
}

/// Bytes as text, or else in base 64.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => text.into(),
        Some((bytes, Err(_))) => json!({ "base64": BASE64_STANDARD.encode(bytes) }),
    }
}

impl Found {
    pub(crate) fn state(&self) -> State {
        self.mark.as_ref().map_or(State::Open, |mark| mark.state)
    }

    /// What its headers say, and what has become of it.
    pub(crate) fn json(&self) -> Value {
        let mut value = json!(self.letter);
        value["letters"] = self.letters.clone().into();
        value["state"] = json!(self.state());
        value["mark"] = json!(self.mark);
        value
    }

    /// The same with every header, and with key and value where they are wanted.
    pub(crate) fn whole(&self, payload: bool) -> Value {
        let mut value = self.json();
        let header = |header: &Header| json!([bytes(Some(&header.name)), bytes(header.value.as_deref())]);
        value["headers"] = self.record.headers.iter().map(header).collect();
        if payload {
            value["key"] = bytes(self.record.key.as_deref());
            value["value"] = bytes(self.record.value.as_deref());
        }
        value
    }
}
