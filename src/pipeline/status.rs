//! What a service at work tells the outside: logs, counts and health, for each happening in one place.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    dead_letter::{Disposition, Verdict, millis},
    failure::Failed,
    produce::ProduceError,
};
use crate::{
    DedupeKey, Record,
    config::OnUnavailable,
    store::{FaultKind, StoreFault},
    telemetry::{
        ServiceHealth, ServiceMetrics,
        metrics::{Component, DedupeOperation, Label},
    },
};

/// With `on_unavailable = "fail"`, one lost answer is no outage: it has to last this long.
const FAIL_AFTER: Duration = Duration::from_secs(5);
/// What has failed is asked again within a second or two. If it was not for this long, nobody wants it any more, and
/// the other answers count.
const UNASKED: Duration = Duration::from_secs(6);

/// The outside's view of one service.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) metrics: ServiceMetrics,
    pub(crate) health: ServiceHealth,
    on_unavailable: OnUnavailable,
    /// If it is.
    store_down: Mutex<Option<Down>>,
    /// The broker does not take what is to be written into the ledger.
    ledger_down: AtomicBool,
    /// Fires when the service cannot go on.
    pub(crate) failed: CancellationToken,
    failure: OnceLock<String>,
}

/// The store cannot do what is asked of it.
#[derive(Debug, Clone, Copy)]
struct Down {
    since: Instant,
    /// What failed last, and when. A store may refuse claims, for want of memory or by its rules, and do all the rest.
    last: (Option<DedupeOperation>, Instant),
}

impl Down {
    fn ends_with(&self, answered: Option<DedupeOperation>) -> bool {
        let (failed, when) = self.last;
        failed.is_none() || failed == answered || when.elapsed() >= UNASKED
    }
}

impl Status {
    pub(crate) fn new(metrics: ServiceMetrics, health: ServiceHealth, on_unavailable: OnUnavailable) -> Self {
        Self {
            metrics,
            health,
            on_unavailable,
            store_down: Mutex::new(None),
            ledger_down: AtomicBool::new(false),
            failed: CancellationToken::new(),
            failure: OnceLock::new(),
        }
    }

    /// The service cannot go on; the first reason counts.
    pub(crate) fn fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::error!(%reason, "the service cannot go on");
        // A later reason is a consequence of the first.
        drop(self.failure.set(reason));
        self.failed.cancel();
    }

    /// Why the service could not go on.
    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    /// The store has done this, or whatever else it was asked for.
    pub(crate) fn store_answered(&self, operation: Option<DedupeOperation>) {
        let mut down = self.store_down.lock().unwrap_or_else(PoisonError::into_inner);
        if down.take_if(|down| down.ends_with(operation)).is_some() {
            tracing::info!("the dedupe store answers again");
            self.health.store_up();
        }
    }

    pub(crate) fn store_is_down(&self) -> bool {
        self.store_down.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The store has not done this, or whatever else it was asked for.
    pub(crate) fn store_fault(&self, operation: Option<DedupeOperation>, fault: &StoreFault) {
        self.metrics.fault(Component::Store);
        let now = Instant::now();
        let mut down = self.store_down.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = down.is_none();
        let since = down.as_ref().map_or(now, |down| down.since);
        let failed = operation.or(down.as_ref().and_then(|down| down.last.0));
        *down = Some(Down { since, last: (failed, now) });
        drop(down);
        if is_new {
            let person = fault.kind == FaultKind::Refused;
            tracing::warn!(%fault, person, "the dedupe store cannot be used; nothing new begins until it can");
            self.health.store_down(fault.to_string());
        }
        if self.on_unavailable == OnUnavailable::Fail && since.elapsed() >= FAIL_AFTER {
            self.fail(format!(
                "the dedupe store cannot be used ({fault}) and dedupe.on_unavailable is \"fail\""
            ));
        }
    }

    pub(crate) fn foreign(&self, record: &Record, key: &str) {
        self.metrics.fault(Component::Store);
        let Record { topic, partition, offset, .. } = record;
        tracing::error!(%topic, partition, offset, key, "the key holds a value that is not ours; the event waits until it is gone");
    }

    /// The same about an event that has ended: the store itself is fine.
    pub(crate) fn foreign_end(&self, key: &str) {
        self.metrics.fault(Component::Store);
        tracing::error!(
            key,
            "the key holds a value that is not ours; what has ended is not committed until it is gone"
        );
    }

    pub(crate) fn attempt_failed(
        &self,
        record: &Record,
        handler: &str,
        key: &DedupeKey,
        attempt: u32,
        failed: &Failed,
    ) {
        let Record { topic, partition, offset, .. } = record;
        let Failed { error, retryable, .. } = failed;
        tracing::warn!(%topic, partition, offset, handler, dedupe_key = %key, attempt, retryable, %error, "attempt failed");
    }

    pub(crate) fn dead_letter_fault(&self, record: &Record, letters: &str, error: &ProduceError) {
        self.metrics.fault(Component::DeadLetter);
        let Record { topic, partition, offset, .. } = record;
        tracing::error!(%topic, partition, offset, letters, %error, "the dead letter is not there yet; its record is not committed");
    }

    pub(crate) fn copy_fault(&self, record: &Record, to: &str, error: &ProduceError) {
        self.metrics.fault(Component::RetryTopic);
        let Record { topic, partition, offset, .. } = record;
        tracing::error!(%topic, partition, offset, to, %error, "the copy for later is not there yet; its record is not committed");
    }

    pub(crate) fn publish_fault(&self, record: &Record, error: &ProduceError) {
        self.metrics.fault(Component::Publish);
        let Record { topic, partition, offset, .. } = record;
        tracing::error!(%topic, partition, offset, %error, "the events out are not there yet; their record is not committed");
    }

    /// Said once: everything that is finished waits for the same topic.
    pub(crate) fn ledger_fault(&self, ledger: &str, error: &ProduceError) {
        self.metrics.fault(Component::Ledger);
        if !self.ledger_down.swap(true, Relaxed) {
            tracing::error!(ledger, %error, "the ledger takes nothing; what is finished is not committed until it does");
        }
    }

    pub(crate) fn ledger_written(&self) {
        if self.ledger_down.load(Relaxed) && self.ledger_down.swap(false, Relaxed) {
            tracing::info!("the ledger takes what is finished again");
        }
    }

    pub(crate) fn dead_lettered(&self, record: &Record, verdict: &Verdict<'_>, disposition: Disposition) {
        let Record { topic, partition, offset, .. } = record;
        let Verdict { handler, dedupe_key, attempts, failed, .. } = verdict;
        tracing::warn!(
            %topic, partition, offset, handler, dedupe_key, attempts, disposition = disposition.as_str(), error = %failed.error, "dead-lettered"
        );
    }
}

/// How long ago a time in milliseconds since 1970 was; nothing for times to come.
pub(crate) fn age(timestamp: i64) -> Duration {
    age_at(millis(SystemTime::now()), timestamp)
}

/// The same at a time that is known.
pub(crate) fn age_at(now: i64, timestamp: i64) -> Duration {
    Duration::from_millis(u64::try_from(now.saturating_sub(timestamp)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Health, metrics::Metrics};

    #[tokio::test(start_paused = true)]
    async fn a_store_is_up_again_when_it_does_what_it_did_not() {
        let status = Status::new(
            Metrics::new().service("shop"),
            Health::default().service("shop"),
            OnUnavailable::Fail,
        );
        let (claim, renew) = (Some(DedupeOperation::Claim), Some(DedupeOperation::Renew));
        let full = StoreFault::unavailable("out of memory");
        for _ in 0..=FAIL_AFTER.as_secs() {
            assert_eq!(status.failure(), None);
            status.store_fault(claim, &full);
            // Nobody needs memory for these.
            status.store_answered(renew);
            status.store_answered(None);
            assert!(status.store_is_down());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(status.failure().is_some(), "it was down for all of the time");
        status.store_answered(claim);
        assert!(!status.store_is_down());

        // Nobody asks for what failed any more.
        status.store_fault(claim, &full);
        tokio::time::advance(UNASKED).await;
        status.store_answered(None);
        assert!(!status.store_is_down());
        // Whoever only looks knows less than who works.
        status.store_fault(None, &full);
        status.store_answered(renew);
        assert!(!status.store_is_down());
    }
}
