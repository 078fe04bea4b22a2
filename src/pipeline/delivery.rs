//! One record on its way: what it asks the store for, what its handler sees, and how it waits.

use std::{sync::Arc, time::Duration};

use super::{
    How,
    decode::Event,
    dedupe::{Back, Stopped},
    held::Claimed,
    replaying::Replaying,
    route::ServiceRun,
    source::Partition,
};
use crate::{
    Context, Handled, Record,
    publication::{Origin, Outbox},
    store::ClaimRequest,
    telemetry::TraceContext,
};

/// How long a worker that stops waits for the broker to take a letter, and then tries to give the claim back.
/// Beyond it the lease does the same, later.
pub(super) const HAND_OVER: Duration = Duration::from_secs(2);
/// One record on its way.
pub(super) struct Delivery<'a> {
    pub(super) partition: &'a Partition,
    pub(super) record: &'a Arc<Record>,
}

impl Delivery<'_> {
    /// Gives back a claim whose handler does not run, for as long as a worker that stops has time.
    pub(super) async fn hand_over(
        &self,
        claimed: &Claimed,
        attempts: u32,
        first_failure_ms: Option<i64>,
        in_doubt: bool,
    ) {
        let claims = &self.service().claims;
        let never = tokio_util::sync::CancellationToken::new();
        let back = Back { delay: Duration::ZERO, attempts, first_failure_ms, in_doubt };
        let release = claims.release(claimed, back, &never);
        if tokio::time::timeout(HAND_OVER, release).await.is_err() {
            tracing::debug!(
                offset = self.record.offset,
                "a claim could not be given back; its lease ends by itself"
            );
        }
    }

    pub(super) fn handled(&self, handled: Handled) -> How {
        match handled {
            Handled::Done => How::Done,
            Handled::Skipped(why) => {
                tracing::debug!(topic = %self.record.topic, partition = self.record.partition, offset = self.record.offset, %why, "skipped");
                How::Skipped
            }
        }
    }

    pub(super) fn claim_request(&self, event: &Event<'_>) -> ClaimRequest {
        let (route, service, record) = (event.route, self.service(), self.record);
        ClaimRequest {
            key: service.store_key(route.handler.name(), event.key().as_str()),
            owner: service.owners.delivery(
                self.partition.epoch,
                &record.topic,
                record.partition,
                record.offset,
            ),
            lease: route.settings.lease,
            retention: route.settings.ttl,
            max_deliveries: route.settings.max_deliveries,
            fingerprint: event.job.fingerprint().map(crate::Fingerprint::get),
        }
    }

    pub(super) fn context(&self, event: &Event<'_>, claimed: &Claimed) -> Context {
        let (handler, service) = (event.route.handler.name(), self.service());
        let replay = service.replay.as_deref();
        let suffix = replay.map(Replaying::suffix).unwrap_or_default();
        Context {
            replay: replay.is_some(),
            record: Arc::clone(&event.meta),
            idempotency_key: format!("{}.{handler}:{}{suffix}", service.group, event.key()).into(),
            fencing_token: claimed.grant.token,
            attempt: claimed.grant.attempts + 1,
            cancelled: claimed.cancelled().clone(),
            outbox: Arc::new(Outbox::new(Origin {
                service: Arc::clone(&service.name),
                handler,
                dedupe_key: format!("{}{suffix}", event.key()).into(),
                trace: self.record.trace().map_or_else(TraceContext::root, |trace| trace.child()),
                tracestate: self.record.tracestate(),
                topics: Some(Arc::clone(&service.publishes)),
            })),
        }
    }

    pub(super) fn service(&self) -> &ServiceRun {
        &self.partition.topic.service
    }

    pub(super) async fn wait(&self, time: Duration) -> Result<(), Stopped> {
        self.unless_stopped(tokio::time::sleep(time)).await
    }

    pub(super) async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            () = self.partition.stop.cancelled() => Err(Stopped),
            done = work => Ok(done),
        }
    }
}
