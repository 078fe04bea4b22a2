//! What the checker makes of the log: the order of keys, letters, commits.

use super::{Checker, Invariant, Violation, Written};
use crate::testing::{
    Disposition,
    sim::{
        history::{Place, Pod},
        plan::{Content, Id},
    },
};

impl Checker {
    pub(super) fn letters_of(&self, id: Id) -> usize {
        let of_id = |record: &&Written| matches!(record.content, Some(Content::Event { id: other, .. }) if other == id);
        self.records.iter().flatten().filter(of_id).map(|record| record.letters).sum()
    }

    pub(super) fn begun(&mut self, token: u64, id: Id, place: Place) {
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

    pub(super) fn letter_heard(&mut self, pod: Pod, place: Place, disposition: Disposition) {
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

    pub(super) fn commit(&mut self, pod: Pod, partition: usize, offset: i64, is_owner: bool) {
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
    pub(in crate::testing::sim) fn end(&mut self) {
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
