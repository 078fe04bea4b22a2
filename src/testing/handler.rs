//! The author's handler, in a process that may die while it runs.

use std::{
    convert::Infallible,
    future::poll_fn,
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{AcqRel, Release},
        },
    },
    task::{self, Poll, Wake, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;

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

    fn rate_limit(&self) -> Option<u32> {
        self.handler.rate_limit()
    }

    fn first_delay(&self) -> Option<Duration> {
        self.handler.first_delay()
    }

    fn apart(&self) -> Arc<dyn ErasedHandler> {
        Arc::new(Self { handler: self.handler.apart(), seam: self.seam.clone() })
    }

    fn decode(self: Arc<Self>, record: &Record) -> Result<Option<Arc<dyn Job>>, DecodeError> {
        let job = Arc::clone(&self.handler).decode(record)?;
        Ok(job.map(|job| -> Arc<dyn Job> { Arc::new(WatchedJob { job, seam: self.seam.clone() }) }))
    }
}

struct WatchedJob {
    job: Arc<dyn Job>,
    seam: Seam,
}

impl Job for WatchedJob {
    fn key(&self) -> &DedupeKey {
        self.job.key()
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        self.job.fingerprint()
    }

    fn handle(self: Arc<Self>, ctx: Context) -> BoxFuture<Outcome> {
        Box::pin(async move {
            self.seam.reach(Moment::BeforeHandler).await;
            self.seam.world.things().attempts += 1;
            let outcome = self.seam.run(Arc::clone(&self.job).handle(ctx), true).await;
            if outcome.is_ok() {
                self.seam.reach(Moment::AfterEffect).await;
            }
            outcome
        })
    }

    fn was_applied(self: Arc<Self>, ctx: Context) -> BoxFuture<Result<bool, Failure>> {
        Box::pin(async move {
            self.seam.fate.gate().await;
            self.seam.run(Arc::clone(&self.job).was_applied(ctx), false).await
        })
    }
}

impl Seam {
    /// Runs the author's code while its process lives. Where it waits when the process dies, it is dropped.
    async fn run<T>(&self, mut work: BoxFuture<T>, is_handler: bool) -> T {
        let mut waits = 0;
        let bell = Arc::new(Bell::default());
        bell.wake_by_ref();
        loop {
            let author = self.world.passage.author();
            let mut hangs = false;
            let step = poll_fn(|cx| match bell.poll(&mut work, cx.waker()) {
                None => Poll::Pending,
                Some(Poll::Ready(answer)) => Poll::Ready(Some(answer)),
                Some(Poll::Pending) => {
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

/// Tells whether what a future waits for has come: one that moves to another task is asked there once more, and would
/// seem to wait twice.
#[derive(Default)]
struct Bell {
    has_rung: AtomicBool,
    whom: AtomicWaker,
}

impl Bell {
    /// Asks a future that was woken.
    fn poll<T>(self: &Arc<Self>, work: &mut BoxFuture<T>, whom: &Waker) -> Option<Poll<T>> {
        self.whom.register(whom);
        let has_rung = self.has_rung.swap(false, AcqRel);
        let waker = Waker::from(Arc::clone(self));
        has_rung.then(|| work.as_mut().poll(&mut task::Context::from_waker(&waker)))
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Release);
        self.whom.wake();
    }
}

async fn never<T>() -> T {
    match std::future::pending::<Infallible>().await {}
}
