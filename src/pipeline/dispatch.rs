//! One attempt: the handler, its time limit, and the one place where its panics end.

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::Instant,
};

use super::failure::Failed;
use crate::{
    Context, Failure, Handled,
    erased::{BoxFuture, Job},
    evidence::{self, Happened, Note},
    telemetry::{
        HandlerMetrics,
        metrics::{AttemptOutcome, Label},
    },
};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    Handled(Handled),
    Failed(Failed),
}

/// A handler at work.
pub(crate) struct Running {
    call: Call<Handled>,
    began: Instant,
    /// Whose run it is, where that is to be noted or recorded.
    noted: Option<Context>,
}

impl Running {
    /// Calls the handler; nothing of it has run before the first [`step`](Self::step) or [`rest`](Self::rest).
    pub(crate) fn begin(job: &Arc<dyn Job>, ctx: &Context, began: Instant) -> Self {
        let noted = (evidence::is_on() || ctx.span().is_some()).then(|| ctx.clone());
        if let Some(ctx) = &noted {
            evidence::note(|| of_run(Happened::Began, ctx, None));
        }
        Self { call: Call::new(|| Arc::clone(job).handle(ctx.clone())), began, noted }
    }

    /// Runs as far as it goes without waiting. The answer, if that was the end, as what it is to be counted, and when that
    /// was.
    pub(crate) fn step(&mut self, cx: &mut task::Context<'_>) -> Poll<(Attempt, AttemptOutcome, Instant)> {
        self.call.step(cx).map(|answer| {
            let now = Instant::now();
            let (attempt, outcome) = self.over(answer, now - self.began);
            (attempt, outcome, now)
        })
    }

    /// Runs to the end, or until the attempt has taken longer than `limit`, and counts it.
    pub(crate) async fn rest(mut self, limit: Duration, metrics: &HandlerMetrics) -> Attempt {
        let answer = self.call.within(limit, self.began).await;
        let took = self.began.elapsed();
        let (attempt, outcome) = self.over(answer, took);
        metrics.attempts(outcome, &[took]);
        attempt
    }

    fn over(&self, answer: Answer<Handled>, took: Duration) -> (Attempt, AttemptOutcome) {
        let outcome = match &answer {
            Ok(Ok(Handled::Done)) => AttemptOutcome::Done,
            Ok(Ok(Handled::Skipped(_))) => AttemptOutcome::Skipped,
            Ok(Err(Failed { retryable: true, .. })) => AttemptOutcome::Retry,
            Ok(Err(Failed { retryable: false, .. })) => AttemptOutcome::Rejected,
            Err(Broken::TimedOut(_)) => AttemptOutcome::TimedOut,
            Err(Broken::Panicked) => AttemptOutcome::Panicked,
        };
        if let Some(ctx) = &self.noted {
            evidence::note(|| of_run(Happened::Returned, ctx, Some(outcome.as_str())));
        }
        let attempt = match answer {
            Ok(Ok(handled)) => Attempt::Handled(handled),
            Ok(Err(failed)) => Attempt::Failed(failed),
            Err(broken) => Attempt::Failed(broken.into()),
        };
        if let Some((ctx, span)) = self.noted.as_ref().and_then(|ctx| Some((ctx, ctx.span()?))) {
            let error = match &attempt {
                Attempt::Handled(_) => None,
                Attempt::Failed(failed) => Some(failed.error.clone()),
            };
            span.attempt(*ctx.outbox().trace(), ctx.attempt(), outcome, took, error);
        }
        (attempt, outcome)
    }
}

fn of_run<'a>(happened: Happened, ctx: &'a Context, outcome: Option<&'static str>) -> Note<'a> {
    Note {
        group: Some(&ctx.outbox().origin.names.group),
        token: Some(ctx.fencing_token()),
        attempt: Some(ctx.attempt()),
        outcome,
        ..Note::record(happened, ctx.delivered())
    }
}

/// Asks the handler whether the event has already taken effect.
pub(crate) async fn was_applied(job: &Arc<dyn Job>, ctx: &Context, limit: Duration) -> Result<bool, Failed> {
    Call::new(|| Arc::clone(job).was_applied(ctx.clone())).within(limit, Instant::now()).await?
}

/// A handler that gave no answer.
enum Broken {
    TimedOut(Duration),
    Panicked,
}

impl From<Broken> for Failed {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TimedOut(limit) => Self::timed_out(limit),
            Broken::Panicked => Self::panicked(),
        }
    }
}

type Answer<T> = Result<Result<T, Failed>, Broken>;

/// Author's code: whatever it does, the answer is a value. Making the future, printing its error and dropping what
/// is left of it are the author's code, too.
struct Call<T> {
    /// `None` once it is over.
    work: Option<BoxFuture<Result<T, Failure>>>,
}

impl<T> Call<T> {
    fn new(make: impl FnOnce() -> BoxFuture<Result<T, Failure>>) -> Self {
        Self { work: catch_unwind(AssertUnwindSafe(make)).ok() }
    }

    fn step(&mut self, cx: &mut task::Context<'_>) -> Poll<Answer<T>> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Broken::Panicked)) };
        let step = || work.as_mut().poll(cx).map_err(Failed::from);
        match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(answer)) => Poll::Ready(self.end().map(|()| answer)),
            Err(_) => Poll::Ready(self.end().and(Err(Broken::Panicked))),
        }
    }

    /// Runs to the end, or until `limit` has passed since it `began`.
    async fn within(&mut self, limit: Duration, began: Instant) -> Answer<T> {
        let left = limit.saturating_sub(began.elapsed());
        match tokio::time::timeout(left, poll_fn(|cx| self.step(cx))).await {
            Ok(answer) => answer,
            Err(_) => self.end().and(Err(Broken::TimedOut(limit))),
        }
    }

    fn end(&mut self) -> Result<(), Broken> {
        let work = self.work.take();
        catch_unwind(AssertUnwindSafe(|| drop(work))).map_err(|_| Broken::Panicked)
    }
}

impl<T> Drop for Call<T> {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// The handlers that run in this process: a crowd, or one alone.
///
/// A payload that kills the process takes the leases of its neighbours along. To find the one to blame, an
/// event over which workers keep dying runs with nothing else in flight.
#[derive(Debug, Clone, Default)]
pub(crate) struct Crowd(Arc<RwLock<()>>);

/// A handler's stay, in the crowd or alone; over when dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
pub(crate) enum Stay {
    InCrowd(OwnedRwLockReadGuard<()>),
    Alone(OwnedRwLockWriteGuard<()>),
}

impl Crowd {
    /// Lets a handler run in the crowd, if nothing runs alone or waits to.
    pub(crate) fn try_enter(&self) -> Option<Stay> {
        Arc::clone(&self.0).try_read_owned().ok().map(Stay::InCrowd)
    }

    /// Waits until this handler may run.
    pub(crate) async fn enter(&self, alone: bool) -> Stay {
        let lock = Arc::clone(&self.0);
        if alone { Stay::Alone(lock.write_owned().await) } else { Stay::InCrowd(lock.read_owned().await) }
    }
}
