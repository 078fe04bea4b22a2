//! The author's handler, in a process that may die while it runs.

use std::{convert::Infallible, future::poll_fn, sync::Arc, task::Poll, time::Duration};

use super::{Moment, fate::State, world::Seam};
use crate::{
    Context, DecodeError, DedupeKey, Failure, Fingerprint, Outcome, Record, RetryPolicy,
    erased::{BoxFuture, ErasedHandler, Job},
};

/// A handler at a [`Seam`].
pub(super) struct Watched {
    pub(super) handler: Arc<dyn ErasedHandler>,
    pub(super) seam: Seam,
}

impl ErasedHandler for Watched {
    fn name(&self) -> &'static str {
        self.handler.name()
    }

    fn retry_policy(&self) -> RetryPolicy {
        self.handler.retry_policy()
    }

    fn replayable(&self) -> bool {
        self.handler.replayable()
    }

    fn ttl(&self) -> Option<Duration> {
        self.handler.ttl()
    }

    fn decode(self: Arc<Self>, record: &Record) -> Result<Option<Box<dyn Job>>, DecodeError> {
        let job = Arc::clone(&self.handler).decode(record)?;
        Ok(job.map(|job| -> Box<dyn Job> { Box::new(WatchedJob { job, seam: self.seam.clone() }) }))
    }
}

struct WatchedJob {
    job: Box<dyn Job>,
    seam: Seam,
}

impl Job for WatchedJob {
    fn key(&self) -> &DedupeKey {
        self.job.key()
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        self.job.fingerprint()
    }

    fn handle<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            self.seam.reach(Moment::BeforeHandler).await;
            self.seam.world.things().attempts += 1;
            let outcome = self.seam.run(self.job.handle(ctx), true).await;
            if outcome.is_ok() {
                self.seam.reach(Moment::AfterEffect).await;
            }
            outcome
        })
    }

    fn was_applied<'a>(&'a self, ctx: &'a Context) -> BoxFuture<'a, Result<bool, Failure>> {
        Box::pin(async move {
            self.seam.fate.gate().await;
            self.seam.run(self.job.was_applied(ctx), false).await
        })
    }
}

impl Seam {
    /// Runs the author's code while its process lives. Where it waits when the process dies, it is dropped.
    async fn run<T>(&self, mut work: BoxFuture<'_, T>, is_handler: bool) -> T {
        let mut waits = 0;
        loop {
            let author = self.world.passage.author();
            let mut hangs = false;
            let step = poll_fn(|cx| match work.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => {
                    waits += 1;
                    hangs = is_handler && self.strike(Moment::InHandler(waits));
                    if hangs { Poll::Ready(None) } else { Poll::Pending }
                }
            });
            tokio::select! {
                biased;
                () = self.fate.until(|state| state != State::Alive) => {}
                answer = step => if let Some(answer) = answer { return answer },
            }
            drop(author);
            if hangs {
                return never().await;
            }
            if self.fate.state() == State::Dead {
                drop(work);
                return never().await;
            }
            self.fate.gate().await;
        }
    }
}

async fn never<T>() -> T {
    match std::future::pending::<Infallible>().await {}
}
