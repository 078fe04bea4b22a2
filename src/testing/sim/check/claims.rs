//! What the checker makes of claims and effects.

use super::{Checker, Invariant};
use crate::{
    store::{Completed, End, Renewed},
    testing::sim::{
        history::{Holder, Pod},
        plan::Id,
    },
};

impl Checker {
    pub(super) fn granted(&mut self, to: &Holder, until_ms: u64, is_taken_over: bool, now_ms: u64) {
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

    pub(super) fn renewed(&mut self, by: &Holder, until_ms: u64, answer: Renewed, now_ms: u64) {
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

    pub(super) fn completed(&mut self, by: &Holder, end: End, answer: Completed) {
        let letters: usize = self.letters_of(by.id);
        self.open_effects.remove(&(by.pod, by.token, by.id));
        let places: Vec<_> = self.open_letters.iter().filter(|(pod, _)| *pod == by.pod).copied().collect();
        for (pod, place) in places {
            if self.id_at(place) == Some(by.id) {
                self.open_letters.remove(&(pod, place));
            }
        }
        let event = self.event(by.id);
        let mut broken = None;
        // That it took effect counts whoever holds it, and instead of a letter.
        let took_effect = end == End::Done;
        if matches!(answer, Completed::Recorded | Completed::Lost)
            || answer == Completed::Stolen && took_effect
        {
            event.lease = None;
            let before = event.ended_by.replace((by.token, end));
            if before.is_some_and(|(token, how)| token != by.token && !(how == End::Dead && took_effect)) {
                broken = Some((Invariant::I4OneEnd, format!("{by:?} finished what was finished")));
            }
        }
        match end {
            End::Done if event.effects == 0 && !event.is_handled => {
                broken = Some((Invariant::I6LettersBounded, format!("{by:?} is done without its effect")));
            }
            End::Dead if letters == 0 => {
                broken = Some((Invariant::I6LettersBounded, format!("{by:?} is dead without a letter")));
            }
            End::Dead | End::Done => event.is_handled = true,
            // Its copy is what counts.
            End::Moved => {}
        }
        if let Some((invariant, why)) = broken {
            self.fail(invariant, Some(by.id), None, why);
        }
    }

    pub(super) fn effect(&mut self, by: (Pod, u64), id: Id) {
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
}
