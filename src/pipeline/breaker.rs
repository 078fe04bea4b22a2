//! Whether it is worth while to call a handler: opens when its attempts fail one and all, finds out by single probes when
//! they do not any more, and lets the work begin again little by little. Arithmetic only: no clock is read, nothing waits;
//! times are counted from any moment that stays the same.

use std::{collections::VecDeque, time::Duration};

use crate::config::BreakerSettings;

/// What is older than the window goes in so many parts.
const PARTS: u32 = 10;

/// The breaker of one handler.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Counts the changes of state: what began before one says nothing about what is now.
    generation: u32,
    /// Attempts that failed, in all.
    failures: u64,
    /// How many answers there were at the last failure, and how many failures before the first since then.
    row: Seen,
    window: VecDeque<Part>,
    /// The events that failed last and were not answered since, each once, and which failure that was and when; no more of
    /// them than matter.
    recent: VecDeque<(u128, u64, Duration)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        since: Duration,
        pause: Duration,
        next: Duration,
        is_probing: bool,
    },
    /// `since` is how many attempts had failed before; `answers` are the probe's and those since.
    HalfOpen {
        pause: Duration,
        answers: u32,
        failures: u32,
        running: u32,
        since: u64,
    },
}

/// A part of the window, from its first failure on.
#[derive(Debug)]
struct Part {
    began: Duration,
    answers_before: u64,
    failures: u64,
}

/// How many attempts had been answered and had failed at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) answers: u64,
    pub(crate) failures: u64,
}

/// Whether an attempt may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Now,
    /// Not before this time.
    At(Duration),
    /// When something has changed.
    Later,
}

/// What an attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The handler was done, skipped or refused: whatever it depends on is there.
    Answered,
    /// It asked for another attempt, took too long or panicked. So many others that began before it still ran: they have
    /// come further than it has, and most of what takes longer than to fail is answered.
    Failed { outlasted_by: u64 },
    /// It did not begin after all.
    Unused,
}

/// A new state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Opened,
    HalfOpened,
    Closed,
}

impl Breaker {
    pub(crate) fn new(settings: BreakerSettings) -> Self {
        Self {
            settings,
            state: State::Closed,
            generation: 0,
            failures: 0,
            row: Seen::default(),
            window: VecDeque::new(),
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// The state as a number: 0 closed, 1 half open, 2 open.
    pub(crate) fn level(&self) -> u8 {
        match self.state {
            State::Closed => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }

    /// Whether what fails now is to be blamed on an outage, not on the event. Not for ever: a handler that only gets what
    /// it cannot handle looks no different.
    pub(crate) fn excuses(&self, now: Duration) -> bool {
        match self.state {
            State::Open { since, .. } => now.saturating_sub(since) < self.settings.patience,
            State::Closed | State::HalfOpen { .. } => false,
        }
    }

    /// What has been counted so far.
    pub(crate) fn seen(&self, answers: u64) -> Seen {
        Seen { answers, failures: self.failures }
    }

    /// Whether an attempt may begin now; if it may, it is counted, and has to [`end`](Self::end).
    pub(crate) fn begin(&mut self, now: Duration) -> Turn {
        match &mut self.state {
            State::Closed => Turn::Now,
            State::Open { is_probing: true, .. } => Turn::Later,
            State::Open { next, .. } if now < *next => Turn::At(*next),
            State::Open { is_probing, .. } => {
                *is_probing = true;
                Turn::Now
            }
            State::HalfOpen { answers, failures, running, .. } => {
                // One more with each answer: those that run double while all of them are answered.
                let credits =
                    1 + self.settings.answers_left(u64::from(*answers), u64::from(*failures)).unwrap_or(0);
                if u64::from(*running) >= credits {
                    return Turn::Later;
                }
                *running += 1;
                Turn::Now
            }
        }
    }

    /// An attempt has ended that was counted in this generation, if it was: one of this event, if it has failed, now or
    /// before. `answers` is the sum of all of them, this one included.
    pub(crate) fn end(
        &mut self,
        generation: Option<u32>,
        answer: Answer,
        event: Option<u128>,
        answers: u64,
        now: Duration,
    ) -> Option<Change> {
        let mut was_a_sign = false;
        match (answer, event) {
            (Answer::Failed { .. }, Some(event)) => self.count(event, answers, now),
            (Answer::Answered, Some(event)) => {
                was_a_sign = self.recent.iter().any(|(other, ..)| *other == event);
                self.recent.retain(|(other, ..)| *other != event);
            }
            _ => {}
        }
        if self.is_closed() {
            let Answer::Failed { outlasted_by } = answer else { return None };
            let opens = self.is_too_much(answers, outlasted_by, now);
            return opens.then(|| self.open(self.settings.probe_every, now));
        }
        if generation != Some(self.generation) {
            // It began in another state, and says nothing about this one; unless its event is one of those that tell of an
            // outage, for it has failed first and was answered then. There may be nobody else left to find out.
            return match self.state {
                State::Open { pause, .. } if was_a_sign => Some(self.half_open(pause)),
                _ => None,
            };
        }
        match (&mut self.state, answer) {
            (State::Closed, _) => None,
            (State::Open { is_probing, .. }, Answer::Unused) => {
                *is_probing = false;
                None
            }
            (State::Open { pause, next, is_probing, .. }, Answer::Failed { .. }) => {
                *pause = (*pause * 2).min(self.settings.probe_at_least_every).max(self.settings.probe_every);
                (*next, *is_probing) = (now + *pause, false);
                None
            }
            (State::Open { pause, .. }, Answer::Answered) => {
                let pause = *pause;
                Some(self.half_open(pause))
            }
            (State::HalfOpen { running, answers, failures, pause, since }, answer) => {
                *running = running.saturating_sub(1);
                match answer {
                    Answer::Unused => None,
                    Answer::Answered => {
                        *answers += 1;
                        self.closes()
                    }
                    Answer::Failed { outlasted_by } => {
                        *failures += 1;
                        let (pause, since) = (*pause, *since);
                        // Those that began before it opened say nothing here either.
                        let further = outlasted_by.min(u64::from(*running));
                        let failed = u64::from(*failures);
                        let answered = u64::from(*answers) + further;
                        let in_a_row = self.failures - self.row.failures.max(since);
                        let is_more = self.settings.answers_left(answered, failed).is_none()
                            || in_a_row >= u64::from(self.settings.minimum) + further;
                        // A few events that fail whatever happens are no outage here either.
                        let reopens = is_more && self.are_several(|number, _| number > since);
                        reopens.then(|| self.open(pause, now))
                    }
                }
            }
        }
    }

    /// The attempts of an event are spent, which failed first after `before`. Opens if that was no fault of the event: nobody
    /// has had an answer since, and others have failed, too.
    pub(crate) fn spent(&mut self, before: Seen, answers: u64, now: Duration) -> Option<Change> {
        if !self.is_closed() || answers != self.row.answers {
            return None;
        }
        let since = before.failures.max(self.row.failures);
        let opens = self.failures - since >= u64::from(self.settings.minimum)
            && self.are_several(|number, _| number > since);
        opens.then(|| self.open(self.settings.probe_every, now))
    }

    /// Whether another event has failed since the last answer.
    pub(crate) fn has_company(&self, event: u128, answers: u64) -> bool {
        let is_other =
            |(other, number, _): &(u128, u64, Duration)| *other != event && *number > self.row.failures;
        answers == self.row.answers && self.recent.iter().any(is_other)
    }

    fn count(&mut self, event: u128, answers: u64, now: Duration) {
        if answers != self.row.answers {
            self.row = Seen { answers, failures: self.failures };
        }
        self.failures += 1;
        self.recent.retain(|(other, ..)| *other != event);
        self.recent.push_back((event, self.failures, now));
        if self.recent.len() > self.settings.events as usize {
            self.recent.pop_front();
        }
        let Self { window: parts, settings: BreakerSettings { window, .. }, .. } = self;
        while parts.front().is_some_and(|part| part.began + *window <= now) {
            parts.pop_front();
        }
        match parts.back_mut().filter(|part| now < part.began + *window / PARTS) {
            Some(part) => part.failures += 1,
            None => parts.push_back(Part { began: now, answers_before: answers, failures: 1 }),
        }
    }

    /// Whether the window shows an outage. Few events that fail by themselves are none, however often they are tried.
    fn is_too_much(&self, answers: u64, outlasted_by: u64, now: Duration) -> bool {
        let Some(first) = self.window.front() else { return false };
        let failures: u64 = self.window.iter().map(|part| part.failures).sum();
        let attempts = failures + (answers - first.answers_before);
        attempts >= u64::from(self.settings.minimum)
            && failures * 100 >= (attempts + outlasted_by) * u64::from(self.settings.percent)
            && self.are_several(|_, at| now < at + self.settings.window)
    }

    fn are_several(&self, matter: impl Fn(u64, Duration) -> bool) -> bool {
        let events = self.recent.iter().filter(|(_, number, at)| matter(*number, *at));
        events.count() >= self.settings.events as usize
    }

    fn open(&mut self, pause: Duration, now: Duration) -> Change {
        let next = now + pause;
        self.change(State::Open { since: now, pause, next, is_probing: false }, Change::Opened)
    }

    /// Somebody was answered.
    fn half_open(&mut self, pause: Duration) -> Change {
        let state = State::HalfOpen { pause, answers: 1, failures: 0, running: 0, since: self.failures };
        let change = self.change(state, Change::HalfOpened);
        self.closes().unwrap_or(change)
    }

    fn closes(&mut self) -> Option<Change> {
        let State::HalfOpen { answers, failures, .. } = self.state else { return None };
        let left = self.settings.answers_left(u64::from(answers), u64::from(failures));
        let is_over = left.is_some_and(|left| left >= u64::from(self.settings.recover));
        is_over.then(|| self.change(State::Closed, Change::Closed))
    }

    fn change(&mut self, state: State, change: Change) -> Change {
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
        self.window.clear();
        change
    }
}

impl BreakerSettings {
    /// How many answers are left when those are taken off that make up for the failures: as many as belong to them where
    /// just `percent` of all attempts fail. `None` if more fails.
    fn answers_left(&self, answers: u64, failures: u64) -> Option<u64> {
        let percent = u64::from(self.percent);
        (answers * percent).checked_sub(failures * (100 - percent)).map(|left| left / percent)
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
