//! One attempt: the handler, its time limit, and the one place where its panics end.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock},
    time::Instant,
};

use super::failure::Failed;
use crate::{
    Context, Handled,
    erased::Job,
    telemetry::{HandlerMetrics, metrics::AttemptOutcome},
};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    Handled(Handled),
    Failed(Failed),
}

/// Runs the handler once, and counts it.
pub(crate) async fn attempt(
    job: &dyn Job,
    ctx: &Context,
    limit: Duration,
    metrics: &HandlerMetrics,
) -> Attempt {
    let began = Instant::now();
    let answer = guarded(limit, || async { job.handle(ctx).await.map_err(Failed::from) }).await;
    let outcome = match &answer {
        Ok(Ok(Handled::Done)) => AttemptOutcome::Done,
        Ok(Ok(Handled::Skipped(_))) => AttemptOutcome::Skipped,
        Ok(Err(Failed { retryable: true, .. })) => AttemptOutcome::Retry,
        Ok(Err(Failed { retryable: false, .. })) => AttemptOutcome::Rejected,
        Err(Broken::TimedOut(_)) => AttemptOutcome::TimedOut,
        Err(Broken::Panicked) => AttemptOutcome::Panicked,
    };
    metrics.attempt(outcome, began.elapsed());
    match answer {
        Ok(Ok(handled)) => Attempt::Handled(handled),
        Ok(Err(failed)) => Attempt::Failed(failed),
        Err(broken) => Attempt::Failed(broken.into()),
    }
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

/// Asks the handler whether the event has already taken effect.
pub(crate) async fn was_applied(job: &dyn Job, ctx: &Context, limit: Duration) -> Result<bool, Failed> {
    guarded(limit, || async { job.was_applied(ctx).await.map_err(Failed::from) }).await?
}

/// Author's code: whatever it does, the answer is a value. Making the future, printing its error and dropping what
/// is left of it are the author's code, too.
async fn guarded<T, F: Future<Output = T>>(limit: Duration, call: impl FnOnce() -> F) -> Result<T, Broken> {
    let mut work = Box::pin(AssertUnwindSafe(async { call().await }).catch_unwind());
    let answer = match tokio::time::timeout(limit, &mut work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Broken::Panicked),
        Err(_) => Err(Broken::TimedOut(limit)),
    };
    match catch_unwind(AssertUnwindSafe(|| drop(work))) {
        Ok(()) => answer,
        Err(_) => Err(Broken::Panicked),
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
    /// Waits until this handler may run.
    pub(crate) async fn enter(&self, alone: bool) -> Stay {
        let lock = Arc::clone(&self.0);
        if alone { Stay::Alone(lock.write_owned().await) } else { Stay::InCrowd(lock.read_owned().await) }
    }
}
