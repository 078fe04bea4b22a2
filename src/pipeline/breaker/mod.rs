//! Whether it is worth while to call a handler: opens when its attempts fail one and all, finds out by single probes when
//! they do not any more, and lets the work begin again little by little. Arithmetic only: no clock is read, nothing waits;
//! times are counted from any moment that stays the same.

mod signs;

use std::time::Duration;

use self::signs::Signs;
pub(crate) use self::signs::{Place, Seen};
use crate::config::BreakerSettings;

/// Half open, so many failures without an answer among them are an outage: with a third that fails it is once in 243 times.
const IN_A_ROW: u32 = 5;

/// The breaker of one handler.
#[derive(Debug)]
pub(crate) struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Counts the changes of state: what began before one says nothing about what is now.
    generation: u32,
    signs: Signs,
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
        begun: u32,
        ended: u32,
        answers: u32,
        failures: u32,
        /// The number of the last that has failed.
        latest: u32,
        /// Failures since the last answer.
        in_a_row: u32,
        since: u64,
    },
}

/// An attempt that was counted in: in which state, and which it was there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticket {
    generation: u32,
    number: u32,
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
    /// It asked for another attempt, took too long or panicked.
    Failed(Place),
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
            settings: BreakerSettings { percent: settings.percent.clamp(1, 100), ..settings },
            state: State::Closed,
            generation: 0,
            signs: Signs::default(),
        }
    }

    /// That of an attempt that has just been counted in.
    pub(crate) fn ticket(&self) -> Ticket {
        let number = if let State::HalfOpen { begun, .. } = self.state { begun.saturating_sub(1) } else { 0 };
        Ticket { generation: self.generation, number }
    }

    /// Whether this attempt was counted in in the present state.
    pub(crate) fn is_of_now(&self, ticket: Option<Ticket>) -> bool {
        ticket.is_some_and(|ticket| ticket.generation == self.generation)
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
        self.signs.seen(answers)
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
            State::HalfOpen { answers, failures, begun, ended, .. } => {
                // One more with each answer: those that run double while all of them are answered.
                let credits = 1 + self.settings.answers_left(*answers, *failures).unwrap_or(0);
                if *begun - *ended >= credits {
                    return Turn::Later;
                }
                *begun += 1;
                Turn::Now
            }
        }
    }

    /// An attempt has ended that was counted in with this ticket, if it was: one of this event, if it has failed, now or
    /// before. `answers` is the sum of all of them, this one included.
    pub(crate) fn end(
        &mut self,
        ticket: Option<Ticket>,
        answer: Answer,
        event: Option<u128>,
        answers: u64,
        now: Duration,
    ) -> Option<Change> {
        let mut was_a_sign = false;
        match (answer, event) {
            (Answer::Failed(place), Some(event)) => {
                self.signs.count(&self.settings, event, answers, place, now);
            }
            (Answer::Answered, Some(event)) => was_a_sign = self.signs.forget(event),
            _ => {}
        }
        if self.is_closed() {
            let Answer::Failed(Place { ended, .. }) = answer else { return None };
            let opens = self.signs.are_too_many(&self.settings, answers, ended, now);
            return opens.then(|| self.open(self.settings.probe_every, now));
        }
        let Some(ticket) = ticket.filter(|ticket| ticket.generation == self.generation) else {
            // It began in another state, and says nothing about this one; unless its event is one of those that tell of an
            // outage, for it has failed first and was answered then. There may be nobody else left to find out.
            return match self.state {
                State::Open { pause, .. } if was_a_sign => Some(self.half_open(pause)),
                _ => None,
            };
        };
        match (&mut self.state, answer) {
            (State::Closed, _) => None,
            (State::Open { is_probing, .. }, Answer::Unused) => {
                *is_probing = false;
                None
            }
            (State::Open { pause, next, is_probing, .. }, Answer::Failed(_)) => {
                *pause = (*pause * 2).min(self.settings.probe_at_least_every).max(self.settings.probe_every);
                (*next, *is_probing) = (now + *pause, false);
                None
            }
            (State::Open { pause, .. }, Answer::Answered) => {
                let pause = *pause;
                Some(self.half_open(pause))
            }
            (State::HalfOpen { ended, answers, failures, latest, in_a_row, pause, since, .. }, answer) => {
                let ended_before = *ended;
                *ended += 1;
                match answer {
                    Answer::Unused => None,
                    Answer::Answered => {
                        (*answers, *in_a_row) = (*answers + 1, 0);
                        self.closes()
                    }
                    Answer::Failed(_) => {
                        (*failures, *in_a_row) = (*failures + 1, *in_a_row + 1);
                        *latest = ticket.number.max(*latest);
                        // Most of what takes longer than to fail is answered.
                        let outlasted_by = latest.saturating_sub(ended_before);
                        let is_more =
                            self.settings.answers_left(*answers + outlasted_by, *failures).is_none();
                        let is_outage = is_more || *in_a_row >= IN_A_ROW + outlasted_by;
                        let (pause, since) = (*pause, *since);
                        // A few events that fail whatever happens are no outage here either.
                        let reopens = is_outage
                            && self.signs.are_of_several(&self.settings, |number, _| number > since);
                        reopens.then(|| self.open(pause, now))
                    }
                }
            }
        }
    }

    /// The attempts of an event are spent, which failed first after `before`. Opens if that was no fault of the event: nobody
    /// has had an answer since, and others have failed, too.
    pub(crate) fn spent(&mut self, before: Seen, answers: u64, now: Duration) -> Option<Change> {
        let opens = self.is_closed() && self.signs.are_dry(&self.settings, before, answers);
        opens.then(|| self.open(self.settings.probe_every, now))
    }

    /// Whether another event has failed since the last answer.
    pub(crate) fn has_company(&self, event: u128, answers: u64) -> bool {
        self.signs.has_company(event, answers)
    }

    fn open(&mut self, pause: Duration, now: Duration) -> Change {
        let next = now + pause;
        self.change(State::Open { since: now, pause, next, is_probing: false }, Change::Opened)
    }

    /// Somebody was answered.
    fn half_open(&mut self, pause: Duration) -> Change {
        let state = State::HalfOpen {
            pause,
            begun: 0,
            ended: 0,
            answers: 1,
            failures: 0,
            latest: 0,
            in_a_row: 0,
            since: self.signs.failures(),
        };
        let change = self.change(state, Change::HalfOpened);
        self.closes().unwrap_or(change)
    }

    fn closes(&mut self) -> Option<Change> {
        let State::HalfOpen { answers, failures, .. } = self.state else { return None };
        let left = self.settings.answers_left(answers, failures);
        let is_over = left.is_some_and(|left| left >= self.settings.recover);
        is_over.then(|| self.change(State::Closed, Change::Closed))
    }

    fn change(&mut self, state: State, change: Change) -> Change {
        self.state = state;
        self.generation = self.generation.wrapping_add(1);
        self.signs.begin_anew();
        change
    }
}

impl BreakerSettings {
    /// How many answers are left when those are taken off that make up for the failures: as many as belong to them where
    /// just `percent` of all attempts fail, and no more than one for each. `None` if more fails.
    fn answers_left(&self, answers: u32, failures: u32) -> Option<u32> {
        let (percent, others) = (u64::from(self.percent), u64::from(100 - self.percent));
        let left = (u64::from(answers) * percent).checked_sub(u64::from(failures) * others.min(percent))?;
        Some((left / percent) as u32)
    }
}

#[cfg(test)]
mod tests;
