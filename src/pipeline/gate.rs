//! What every attempt of a handler passes: a person may have paused it, its breaker may be open, and it may be allowed only
//! so many attempts a second.
//!
//! An event waits here without a claim, so that nothing runs out and nobody else waits for it. A gate that stands
//! open costs an attempt one look and one count, and takes no lock.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    breaker::{Answer, Breaker, Change, Seen, Ticket, Turn},
    gates::GateView,
    pass::Pass,
    rate::Rate,
};
use crate::{
    config::BreakerSettings,
    store::millis,
    telemetry::{ServiceHealth, metrics::BreakerMetrics},
};

/// The gate of one handler, over all of its topics.
pub(crate) struct Gate {
    pub(super) handler: &'static str,
    /// Nobody has to wait, nor to be counted in.
    is_open: AtomicBool,
    answers: AtomicU64,
    /// When the last of them came, in milliseconds after it began; 0 is never.
    answered_ms: AtomicU64,
    /// The attempts that did not end at once: how many have begun, and how many of them have ended.
    pub(super) begun: AtomicU64,
    pub(super) ended: AtomicU64,
    began: Instant,
    state: Mutex<State>,
    /// Who waits stands in line; only the first looks at what changes.
    line: tokio::sync::Mutex<()>,
    news: Notify,
    metrics: BreakerMetrics,
    health: ServiceHealth,
}

#[derive(Debug)]
struct State {
    is_paused: bool,
    breaker: Option<Breaker>,
    rate: Option<Rate>,
}

impl Gate {
    pub(crate) fn new(
        handler: &'static str,
        breaker: BreakerSettings,
        rate: Option<u32>,
        metrics: BreakerMetrics,
        health: ServiceHealth,
    ) -> Arc<Self> {
        let state = State {
            is_paused: false,
            breaker: breaker.enabled.then(|| Breaker::new(breaker)),
            rate: rate.map(Rate::of),
        };
        Arc::new(Self {
            handler,
            is_open: AtomicBool::new(state.is_open()),
            answers: AtomicU64::new(0),
            answered_ms: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            began: Instant::now(),
            state: Mutex::new(state),
            line: tokio::sync::Mutex::default(),
            news: Notify::new(),
            metrics,
            health,
        })
    }

    /// A person pauses the handler, or lets it go on. What runs may finish.
    pub(crate) fn pause(&self, is_paused: bool) {
        let mut state = self.state();
        state.is_paused = is_paused;
        self.changed(&state);
    }

    /// Whether everybody may pass.
    pub(crate) fn is_open(&self) -> bool {
        self.is_open.load(Acquire)
    }

    /// A pass, if nobody has to wait.
    pub(crate) fn try_pass(self: &Arc<Self>) -> Option<Pass> {
        if self.is_open() {
            return Some(Pass::default());
        }
        self.ask().ok()
    }

    /// Waits for a pass, in the order of those who wait.
    pub(crate) async fn pass(self: &Arc<Self>) -> Pass {
        if self.is_open() {
            return Pass::default();
        }
        let _first = self.line.lock().await;
        loop {
            let turn = match self.ask() {
                Ok(pass) => return pass,
                Err(turn) => turn,
            };
            let news = self.news.notified();
            match turn {
                Turn::At(time) => {
                    tokio::select! {
                        biased;
                        () = news => {}
                        () = tokio::time::sleep_until(self.began + time) => {}
                    }
                }
                Turn::Now | Turn::Later => news.await,
            }
        }
    }

    /// Whether a pass is still good: the gate may have shut while its event waited for a claim or a place.
    pub(crate) fn holds(&self, pass: &Pass) -> bool {
        if self.is_open() {
            return true;
        }
        let state = self.state();
        let breaker = state.breaker.as_ref();
        let is_of_now = |breaker: &Breaker| breaker.is_closed() || breaker.is_of_now(pass.ticket());
        !state.is_paused && breaker.is_none_or(is_of_now)
    }

    /// What was answered and has failed so far.
    pub(crate) fn seen(&self) -> Seen {
        let answers = self.answers();
        self.state().breaker.as_ref().map(|breaker| breaker.seen(answers)).unwrap_or_default()
    }

    /// The handler has answered by `now`: whatever it depends on is there. Its event is named where it may have failed
    /// before.
    pub(crate) fn answered(&self, mut pass: Pass, failed_before: Option<u128>, now: Instant) {
        let answers = self.all_answered(1, now);
        let ticket = pass.used();
        if ticket.is_some() || failed_before.is_some() {
            self.end(ticket, Answer::Answered, failed_before, answers);
        }
    }

    /// So many have answered by `now` whose passes were not counted. How many answers there were in all.
    pub(crate) fn all_answered(&self, number: u64, now: Instant) -> u64 {
        self.answered_ms.fetch_max(millis(now.saturating_duration_since(self.began)).max(1), Relaxed);
        self.answers.fetch_add(number, Relaxed) + number
    }

    /// An attempt at this event has failed in a way that another one may not.
    pub(crate) fn failed(&self, mut pass: Pass, event: u128) {
        let (ticket, place) = (pass.used(), pass.place(self));
        self.end(ticket, Answer::Failed(place), Some(event), self.answers());
    }

    /// Whether what has just failed is to be blamed on an outage, and does not count.
    pub(crate) fn excuses(&self) -> bool {
        !self.is_open() && self.state().breaker.as_ref().is_some_and(|breaker| breaker.excuses(self.now()))
    }

    /// The attempts of an event are spent, which failed first after `before`. Whether that was no fault of its own.
    pub(crate) fn excuses_spent(&self, before: Seen) -> bool {
        let (answers, now) = (self.answers(), self.now());
        let mut state = self.state();
        let change = state.breaker.as_mut().and_then(|breaker| breaker.spent(before, answers, now));
        if let Some(change) = change {
            self.tell(&state, change);
        }
        drop(state);
        self.excuses()
    }

    /// Whether nobody has been answered for this long, as far as this process has seen.
    pub(crate) fn is_silent_for(&self, time: Duration) -> bool {
        match self.answered_ms.load(Relaxed) {
            0 => true,
            answered_ms => self.now() >= Duration::from_millis(answered_ms) + time,
        }
    }

    /// Whether another event has failed since the last answer.
    pub(crate) fn has_company(&self, event: u128) -> bool {
        let answers = self.answers();
        self.state().breaker.as_ref().is_some_and(|breaker| breaker.has_company(event, answers))
    }

    pub(crate) fn view(&self) -> GateView {
        let state = self.state();
        let breaker = state.breaker.as_ref();
        let words = ["closed", "half-open", "open"];
        GateView {
            handler: self.handler,
            is_paused: state.is_paused,
            breaker: breaker.map(|breaker| words[usize::from(breaker.level())]),
        }
    }

    /// A pass, or when to ask again.
    fn ask(self: &Arc<Self>) -> Result<Pass, Turn> {
        let now = self.now();
        let mut state = self.state();
        if state.is_paused {
            return Err(Turn::Later);
        }
        if let Some(next) = state.rate.as_ref().map(Rate::next).filter(|next| *next > now) {
            return Err(Turn::At(next));
        }
        let ticket = match &mut state.breaker {
            Some(breaker) => match breaker.begin(now) {
                Turn::Now => breaker.ticket(),
                later => return Err(later),
            },
            None => Ticket::default(),
        };
        if let Some(rate) = &mut state.rate {
            rate.take(now);
        }
        Ok(Pass::counted(Arc::clone(self), ticket))
    }

    pub(super) fn end(&self, ticket: Option<Ticket>, answer: Answer, event: Option<u128>, answers: u64) {
        let now = self.now();
        let mut state = self.state();
        if answer == Answer::Unused
            && let Some(rate) = &mut state.rate
        {
            rate.give_back();
        }
        let change = state.breaker.as_mut().and_then(|it| it.end(ticket, answer, event, answers, now));
        match change {
            Some(change) => self.tell(&state, change),
            // Whoever is first in line may take the place of what has ended.
            None if !self.is_open() => self.news.notify_one(),
            None => {}
        }
    }

    fn tell(&self, state: &State, change: Change) {
        self.changed(state);
        let (handler, key) = (self.handler, format!("breaker of {}", self.handler));
        self.metrics.state(state.breaker.as_ref().map_or(0, Breaker::level));
        match change {
            Change::Opened => {
                self.metrics.opened();
                self.health.note(&key, "it is open: all that the handler does fails, so it is left alone");
                tracing::warn!(
                    handler,
                    "the breaker opens: attempts fail one and all, so its events wait and single probes are made"
                );
            }
            Change::HalfOpened => {
                self.health
                    .note(&key, "it is half open: the handler is answered again, and takes up its work");
                tracing::info!(handler, "a probe was answered; the work begins again little by little");
            }
            Change::Closed => {
                self.health.unnote(&key);
                tracing::info!(handler, "the breaker closes: attempts are answered again");
            }
        }
    }

    fn changed(&self, state: &State) {
        self.is_open.store(state.is_open(), Release);
        self.news.notify_one();
    }

    pub(super) fn answers(&self) -> u64 {
        self.answers.load(Relaxed)
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// A panic while the lock was held leaves plain values behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_open(&self) -> bool {
        !self.is_paused && self.rate.is_none() && self.breaker.as_ref().is_none_or(Breaker::is_closed)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("handler", &self.handler).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
