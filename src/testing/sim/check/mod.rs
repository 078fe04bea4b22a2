//! The invariants, each looked at as soon as something happens that might break it. Pure.

mod claims;
mod invariant;
mod log;

use std::collections::{BTreeMap, BTreeSet};

use super::{
    history::{Holder, Place, Pod, What},
    plan::{Content, Id},
};

use crate::store::End;
pub(super) use invariant::{Invariant, Violation};

/// What is known of an event.
#[derive(Debug, Default)]
struct Event {
    effects: usize,
    /// What explains an effect beyond the first.
    explained: usize,
    /// Of these, what explains a letter, too.
    explained_letters: usize,
    lease: Option<(Holder, u64)>,
    last_token: u64,
    begun: BTreeSet<u64>,
    /// Under which token, and how.
    ended_by: Option<(u64, End)>,
    /// A handler has answered well, or it is finished.
    is_handled: bool,
}

/// What is known of a record.
#[derive(Debug, Default)]
struct Written {
    key: Option<u8>,
    content: Option<Content>,
    fetched: usize,
    letters: usize,
    /// How many of them somebody has heard of. The others explain themselves.
    letters_heard: usize,
    /// How many of these are not the last word.
    explained_letters: usize,
}

/// All that the invariants need to know.
#[derive(Debug, Default)]
pub(super) struct Checker {
    events: BTreeMap<Id, Event>,
    records: Vec<Vec<Written>>,
    committed: Vec<i64>,
    dead: BTreeSet<Pod>,
    /// Effects of which the store does not know yet, by pod and token.
    open_effects: BTreeMap<(Pod, u64, Id), usize>,
    /// Letters that were heard of, whose events the store does not know to be dead yet.
    open_letters: BTreeSet<(Pod, Place)>,
    pub(super) violation: Option<Violation>,
}

impl Checker {
    pub(super) fn of(partitions: usize) -> Self {
        Self {
            records: (0..partitions).map(|_| Vec::new()).collect(),
            committed: vec![0; partitions],
            ..Self::default()
        }
    }

    /// A record was put at the end of its partition.
    pub(super) fn written(&mut self, partition: usize, key: Option<u8>, content: Content) {
        let written = Written { key, content: Some(content), ..Written::default() };
        self.records[partition].push(written);
    }

    fn fail(&mut self, invariant: Invariant, id: Option<Id>, place: Option<Place>, why: String) {
        self.violation.get_or_insert(Violation { invariant, id, place, why });
    }

    fn event(&mut self, id: Id) -> &mut Event {
        self.events.entry(id).or_default()
    }

    fn record(&mut self, place: Place) -> &mut Written {
        let index = usize::try_from(place.1).unwrap_or(usize::MAX);
        &mut self.records[place.0][index]
    }

    pub(super) fn has_effect(&self, id: Id) -> bool {
        self.events.get(&id).is_some_and(|event| event.effects > 0)
    }

    fn id_at(&mut self, place: Place) -> Option<Id> {
        match self.record(place).content {
            Some(Content::Event { id, .. }) => Some(id),
            _ => None,
        }
    }

    /// Takes note of what happened at this time of the store.
    pub(super) fn see(&mut self, what: &What, now_ms: u64) {
        match what {
            What::Died(pod) => self.died(*pod),
            What::StoreLost => self.lost(),
            What::Fetched(_, place) => self.record(*place).fetched += 1,
            What::Granted { to, until_ms, is_taken_over } => {
                self.granted(to, *until_ms, *is_taken_over, now_ms);
            }
            What::Renewed { by, until_ms, answer } => self.renewed(by, *until_ms, *answer, now_ms),
            What::Released { by, is_free: true } => {
                let event = self.event(by.id);
                if event.lease.as_ref().is_some_and(|(holder, _)| holder == by) {
                    event.lease = None;
                }
            }
            What::Completed { by, end, answer } => self.completed(by, *end, *answer),
            What::Begun { by, id, place } => self.begun(by.1, *id, *place),
            What::Effect { by, id } => self.effect(*by, *id),
            What::Answered { by, id, is_ok } => {
                let open = self.open_effects.contains_key(&(by.0, by.1, *id));
                if *is_ok {
                    self.event(*id).is_handled = true;
                } else if open {
                    self.open_effects.remove(&(by.0, by.1, *id));
                    self.event(*id).explained += 1;
                }
            }
            What::Letter { place, is_whole, .. } => {
                self.record(*place).letters += 1;
                if !is_whole {
                    let why = "the letter is not its record".to_owned();
                    self.fail(Invariant::I8LetterWhole, None, Some(*place), why);
                }
            }
            What::LetterHeard { pod, place, disposition } => self.letter_heard(*pod, *place, *disposition),
            What::Committed { pod, partition, offset, is_owner } => {
                self.commit(*pod, *partition, *offset, *is_owner);
            }
            _ => {}
        }
    }

    fn died(&mut self, pod: Pod) {
        self.dead.insert(pod);
        let open: Vec<_> = self.open_effects.keys().filter(|(of, ..)| *of == pod).copied().collect();
        for key in open {
            self.open_effects.remove(&key);
            self.event(key.2).explained += 1;
        }
        let letters: Vec<_> = self.open_letters.iter().filter(|(of, _)| *of == pod).copied().collect();
        for letter in letters {
            self.open_letters.remove(&letter);
            self.record(letter.1).explained_letters += 1;
        }
    }

    fn lost(&mut self) {
        for event in self.events.values_mut() {
            if event.lease.is_some() || event.ended_by.is_some() || event.last_token > 0 {
                event.explained += 1;
                event.explained_letters += 1;
            }
            event.lease = None;
            event.ended_by = None;
        }
    }
}
