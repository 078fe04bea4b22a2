//! The invariants, each looked at as soon as something happens that might break it. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use super::{
    history::{Holder, Place, Pod, What},
    plan::{Content, Id},
};
use crate::{
    store::{Completed, End, Renewed},
    testing::Disposition,
};

/// What must never be otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invariant {
    /// Below a committed offset everything has taken effect, is dead-lettered, or was not to be handled.
    I1NothingLost,
    /// Only the owner of a partition commits, never backwards, never past the end.
    I2CommitsByOwner,
    /// Effects ≤ 1 + crashes between effect and completion + leases that ran out under a live handler + attempts that
    /// did not end well after their effect + losses of the store.
    I3EffectsBounded,
    /// An event is finished by one claim, unless the store forgot it.
    I4OneEnd,
    /// One live lease for each event; tokens grow.
    I5OneLease,
    /// As many letters as crashes and unheard acknowledgements explain; nothing is finished without its effect or letter.
    I6LettersBounded,
    /// Events of one key begin in the order of their offsets.
    I7KeyOrder,
    /// A letter is the record byte for byte.
    I8LetterWhole,
    /// Once nothing goes wrong any more, everything is settled and committed in bounded time.
    L1Settled,
}

/// An invariant that did not hold, and of what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: Invariant,
    pub(super) id: Option<Id>,
    pub(super) place: Option<Place>,
    pub(super) why: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.invariant, self.why)
    }
}

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
    ended_by: Option<u64>,
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
                let open = self.open_effects.get(&(by.0, by.1, *id)).is_some();
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

    fn granted(&mut self, to: &Holder, until_ms: u64, is_taken_over: bool, now_ms: u64) {
        let dead = &self.dead;
        let event = self.events.entry(to.id).or_default();
        let mut broken = None;
        match &mut event.lease {
            Some((holder, until)) if holder == to => *until = until_ms,
            Some((holder, until)) if holder.owner != to.owner && now_ms < *until => {
                broken = Some(format!("{to:?} was granted what {holder:?} still held"));
            }
            lease => {
                if let Some((holder, _)) = lease
                    && is_taken_over
                    && !dead.contains(&holder.pod)
                {
                    // It may be about to write a letter without a run of its handler.
                    event.explained_letters += 1;
                    event.explained += usize::from(event.begun.contains(&holder.token));
                }
                if to.token <= event.last_token {
                    broken = Some(format!("{to:?} comes after the token {}", event.last_token));
                }
                *lease = Some((to.clone(), until_ms));
                event.last_token = event.last_token.max(to.token);
            }
        }
        if let Some(why) = broken {
            self.fail(Invariant::I5OneLease, Some(to.id), None, why);
        }
    }

    fn renewed(&mut self, by: &Holder, until_ms: u64, answer: Renewed, now_ms: u64) {
        if !matches!(answer, Renewed::Kept | Renewed::Recreated) {
            return;
        }
        let event = self.event(by.id);
        let other =
            event.lease.as_ref().filter(|(holder, until)| holder.owner != by.owner && now_ms < *until);
        let broken = other.map(|(holder, _)| format!("{by:?} was kept beside {holder:?}"));
        event.lease = Some((by.clone(), until_ms));
        event.last_token = event.last_token.max(by.token);
        if let Some(why) = broken {
            self.fail(Invariant::I5OneLease, Some(by.id), None, why);
        }
    }

    fn completed(&mut self, by: &Holder, end: End, answer: Completed) {
        let letters: usize = self.letters_of(by.id);
        self.open_effects.remove(&(by.pod, by.token, by.id));
        let places: Vec<_> = self.open_letters.iter().filter(|(pod, _)| *pod == by.pod).copied().collect();
        for (pod, place) in places {
            if self.id_at(place) == Some(by.id) {
                self.open_letters.remove(&(pod, place));
            }
        }
        let event = self.event(by.id);
        event.lease = None;
        let mut broken = None;
        if matches!(answer, Completed::Recorded | Completed::Stolen | Completed::Lost)
            && event.ended_by.replace(by.token).is_some_and(|before| before != by.token)
        {
            broken = Some((Invariant::I4OneEnd, format!("{by:?} finished what was finished")));
        }
        match end {
            End::Done if event.effects == 0 && !event.is_handled => {
                broken = Some((Invariant::I6LettersBounded, format!("{by:?} is done without its effect")));
            }
            End::Dead if letters == 0 => {
                broken = Some((Invariant::I6LettersBounded, format!("{by:?} is dead without a letter")));
            }
            End::Dead | End::Done => event.is_handled = true,
        }
        if let Some((invariant, why)) = broken {
            self.fail(invariant, Some(by.id), None, why);
        }
    }

    fn letters_of(&self, id: Id) -> usize {
        let of_id = |record: &&Written| matches!(record.content, Some(Content::Event { id: other, .. }) if other == id);
        self.records.iter().flatten().filter(of_id).map(|record| record.letters).sum()
    }

    fn begun(&mut self, token: u64, id: Id, place: Place) {
        self.event(id).begun.insert(token);
        let Some(key) = self.record(place).key else { return };
        let before = &self.records[place.0][..usize::try_from(place.1).unwrap_or(0)];
        let open = before.iter().position(|record| {
            record.key == Some(key)
                && record.letters == 0
                && match record.content {
                    Some(Content::Event { id: other, .. }) => {
                        other != id && !self.events.get(&other).is_some_and(|event| event.is_handled)
                    }
                    Some(Content::Tombstone) | None => false,
                    Some(Content::NoKey | Content::Garbage) => true,
                }
        });
        if let Some(open) = open {
            let why = format!("offset {} of its key began while {open} was open", place.1);
            self.fail(Invariant::I7KeyOrder, Some(id), Some(place), why);
        }
    }

    fn effect(&mut self, by: (Pod, u64), id: Id) {
        *self.open_effects.entry((by.0, by.1, id)).or_default() += 1;
        let event = self.event(id);
        event.effects += 1;
        if event.effects > 1 + event.explained {
            let why = format!(
                "e{id} took effect {} times, and {} are explained",
                event.effects,
                1 + event.explained
            );
            self.fail(Invariant::I3EffectsBounded, Some(id), None, why);
        }
    }

    fn letter_heard(&mut self, pod: Pod, place: Place, disposition: Disposition) {
        self.open_letters.insert((pod, place));
        let id = self.id_at(place);
        let of_event = id.map_or(0, |id| self.event(id).explained_letters);
        let record = self.record(place);
        let has_claim = !matches!(
            disposition,
            Disposition::Undecodable | Disposition::NoKey | Disposition::Mismatch | Disposition::NoHandler
        );
        // Without a claim, each delivery writes its own.
        let again = if has_claim { 0 } else { record.fetched.max(1) - 1 };
        let explained = record.explained_letters + of_event + again;
        record.letters_heard += 1;
        if record.letters_heard > 1 + explained {
            let why = format!(
                "{} letters about {place:?}, and {} are explained",
                record.letters_heard,
                1 + explained
            );
            self.fail(Invariant::I6LettersBounded, id, Some(place), why);
        }
    }

    fn commit(&mut self, pod: Pod, partition: usize, offset: i64, is_owner: bool) {
        let place = Some(Place(partition, offset));
        let (before, end) = (self.committed[partition], self.records[partition].len());
        if !is_owner || offset < before || offset > i64::try_from(end).unwrap_or(i64::MAX) {
            let why = format!("pod {pod} (owner: {is_owner}) commits {offset} after {before}, of {end}");
            self.fail(Invariant::I2CommitsByOwner, None, place, why);
        }
        for open in before..offset.min(i64::try_from(end).unwrap_or(i64::MAX)) {
            let place = Place(partition, open);
            if !self.is_settled(place) {
                let id = self.id_at(place);
                let why = format!("{place:?} is committed and has neither effect nor letter");
                self.fail(Invariant::I1NothingLost, id, Some(place), why);
            }
        }
        self.committed[partition] = offset;
    }

    fn is_settled(&mut self, place: Place) -> bool {
        let record = self.record(place);
        match record.content {
            _ if record.letters > 0 => true,
            Some(Content::Tombstone) => true,
            Some(Content::Event { id, .. }) => {
                let event = self.event(id);
                event.effects > 0 || event.is_handled
            }
            _ => false,
        }
    }

    /// At the end of a schedule.
    pub(super) fn end(&mut self) {
        for (partition, records) in self.records.iter().enumerate() {
            let committed = self.committed[partition];
            if committed != i64::try_from(records.len()).unwrap_or(i64::MAX) {
                let why = format!("partition {partition} stays at {committed} of {}", records.len());
                let place = Some(Place(partition, committed));
                self.violation.get_or_insert(Violation {
                    invariant: Invariant::L1Settled,
                    id: None,
                    place,
                    why,
                });
            }
        }
    }
}
