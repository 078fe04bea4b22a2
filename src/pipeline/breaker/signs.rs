//! What tells of an outage: how many attempts fail, of how many events, beside how many that are answered or go on.

use std::{collections::VecDeque, time::Duration};

use crate::config::BreakerSettings;

/// What is older than the window goes in so many parts.
const PARTS: u32 = 10;

/// The failures of one handler's attempts.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// In all.
    failures: u64,
    /// How many answers there were at the last failure, and how many failures before the first since then.
    row: Seen,
    window: VecDeque<Part>,
    /// The events that failed last and were not answered since, each once, and which failure that was and when; no more of
    /// them than matter.
    recent: VecDeque<(u128, u64, Duration)>,
}

/// A part of the window, from its first failure on.
#[derive(Debug)]
struct Part {
    began: Duration,
    answers_before: u64,
    /// At the least, how many attempts had begun before one of those that failed, and went on when it did.
    under_way: u64,
    /// How many had begun before the last of them.
    latest: u64,
    failures: u64,
}

/// How many attempts had been answered and had failed at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) answers: u64,
    pub(crate) failures: u64,
}

/// The place of an attempt that has failed among all that did not end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// How many had begun before it.
    pub(crate) number: u64,
    /// How many had when that was taken note of, if it failed at once; otherwise the same.
    pub(crate) noted: u64,
    /// How many have ended, it left out.
    pub(crate) ended: u64,
}

impl Signs {
    pub(super) fn failures(&self) -> u64 {
        self.failures
    }

    pub(super) fn seen(&self, answers: u64) -> Seen {
        Seen { answers, failures: self.failures }
    }

    /// An event was answered. Whether it was one of those that failed last.
    pub(super) fn forget(&mut self, event: u128) -> bool {
        let was_a_sign = self.recent.iter().any(|(other, ..)| *other == event);
        self.recent.retain(|(other, ..)| *other != event);
        was_a_sign
    }

    /// What was in the window counts no more.
    pub(super) fn begin_anew(&mut self) {
        self.window.clear();
    }

    /// Whether nobody was answered since the first failure of an event, which came after `before`, and others failed, too.
    pub(super) fn are_dry(&self, settings: &BreakerSettings, before: Seen, answers: u64) -> bool {
        let since = before.failures.max(self.row.failures);
        answers == self.row.answers
            && self.failures - since >= u64::from(settings.minimum)
            && self.are_of_several(settings, |number, _| number > since)
    }

    /// Whether another event has failed since the last answer.
    pub(super) fn has_company(&self, event: u128, answers: u64) -> bool {
        let is_other =
            |(other, number, _): &(u128, u64, Duration)| *other != event && *number > self.row.failures;
        answers == self.row.answers && self.recent.iter().any(is_other)
    }

    pub(super) fn count(
        &mut self,
        settings: &BreakerSettings,
        event: u128,
        answers: u64,
        place: Place,
        now: Duration,
    ) {
        if answers != self.row.answers {
            self.row = Seen { answers, failures: self.failures };
        }
        self.failures += 1;
        self.recent.retain(|(other, ..)| *other != event);
        self.recent.push_back((event, self.failures, now));
        if self.recent.len() > settings.events as usize {
            self.recent.pop_front();
        }
        let (parts, window) = (&mut self.window, settings.window);
        while parts.front().is_some_and(|part| part.began + window <= now) {
            parts.pop_front();
        }
        let (under_way, latest) = (place.number.saturating_sub(place.ended), place.noted);
        match parts.back_mut().filter(|part| now < part.began + window / PARTS) {
            Some(part) => {
                part.failures += 1;
                part.under_way = part.under_way.min(under_way);
                part.latest = part.latest.max(latest);
            }
            None => {
                parts.push_back(Part { began: now, answers_before: answers, under_way, latest, failures: 1 });
            }
        }
    }

    /// Whether the window shows an outage. Few events that fail by themselves are none, however often they are tried.
    pub(super) fn are_too_many(
        &self,
        settings: &BreakerSettings,
        answers: u64,
        ended: u64,
        now: Duration,
    ) -> bool {
        let Some(first) = self.window.front() else { return false };
        let failures: u64 = self.window.iter().map(|part| part.failures).sum();
        let attempts = failures + answers.saturating_sub(first.answers_before);
        // What has begun between those that failed and goes on has come further than they have: for a while it counts as
        // answered. What began before says nothing, and what takes longer may well hang.
        let is_soon = now < first.began + settings.window / 2;
        let latest = self.window.iter().map(|part| part.latest).max().filter(|_| is_soon).unwrap_or_default();
        let further = latest.saturating_sub(ended).saturating_sub(first.under_way);
        attempts >= u64::from(settings.minimum)
            && failures * 100 >= (attempts + further) * u64::from(settings.percent)
            && self.are_of_several(settings, |_, at| now < at + settings.window)
    }

    pub(super) fn are_of_several(
        &self,
        settings: &BreakerSettings,
        matter: impl Fn(u64, Duration) -> bool,
    ) -> bool {
        let events = self.recent.iter().filter(|(_, number, at)| matter(*number, *at));
        events.count() >= settings.events as usize
    }
}
