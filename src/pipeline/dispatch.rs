//! One attempt: the handler, its time limit, and the one place where its panics end.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use super::failure::Failed;
use crate::{Context, Handled, erased::Job};

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum Attempt {
    Handled(Handled),
    Failed(Failed),
}

/// Runs the handler once.
pub(crate) async fn attempt(job: &dyn Job, ctx: &Context, limit: Duration) -> Attempt {
    match guarded(limit, || job.handle(ctx)).await {
        Ok(Ok(handled)) => Attempt::Handled(handled),
        Ok(Err(failure)) => Attempt::Failed(failure.into()),
        Err(failed) => Attempt::Failed(failed),
    }
}

/// Asks the handler whether the event has already taken effect.
pub(crate) async fn was_applied(job: &dyn Job, ctx: &Context, limit: Duration) -> Result<bool, Failed> {
    guarded(limit, || job.was_applied(ctx)).await?.map_err(Failed::from)
}

/// Author's code: whatever it does, the answer is a value. Making the future is the author's code, too.
async fn guarded<T, F: Future<Output = T>>(limit: Duration, call: impl FnOnce() -> F) -> Result<T, Failed> {
    let work = AssertUnwindSafe(async { call().await }).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(panic)) => Err(Failed::panicked(panic.as_ref())),
        Err(_) => Err(Failed::timed_out(limit)),
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
