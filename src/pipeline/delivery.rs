//! One record on its way: what it asks the store for, what its handler sees, and how it waits.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio_util::sync::CancellationToken;

use super::{How, decode::Event, dedupe::Back, held::Claimed, route::ServiceRun, source::Partition};
use crate::{
    Context, Handled, Record,
    context::Run,
    publication::{Origin, OriginKey},
    store::{ClaimRequest, Grant},
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
        let never = CancellationToken::new();
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

    pub(super) fn claim_request(&self, event: &Event) -> ClaimRequest {
        let route = &event.route;
        ClaimRequest {
            key: route.keys.key(event.key().as_str()),
            owner: self.partition.owners.delivery(self.record.offset),
            lease: route.settings.lease,
            retention: route.settings.ttl,
            max_deliveries: route.settings.max_deliveries,
            fingerprint: event.fingerprint(),
            hop: event.sent_on.as_ref().map_or(0, |sent_on| sent_on.hop),
        }
    }

    pub(super) fn context(
        &self,
        event: &Event,
        grant: &Grant,
        cancelled: Option<CancellationToken>,
    ) -> Context {
        let service = self.service();
        let key = match &service.replay {
            None => OriginKey::Of(Arc::clone(&event.job)),
            Some(replay) => OriginKey::Text(format!("{}{}", event.key(), replay.suffix())),
        };
        let run = Run {
            record: Arc::clone(&event.meta),
            delivered: Arc::clone(self.record),
            fencing_token: grant.token,
            attempt: grant.attempts.saturating_add(1),
            cancelled: cancelled.map(OnceLock::from).unwrap_or_default(),
            replay: service.replay.is_some(),
            span: event.span.clone(),
        };
        let handler = event.route.handler.name();
        Context::new(run, Origin { names: Arc::clone(&self.partition.topic.names), handler, key })
    }

    pub(super) fn service(&self) -> &ServiceRun {
        &self.partition.topic.service
    }
}
