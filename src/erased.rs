//! Handlers without their types, so that routes can hold any of them. The one clever file.

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use crate::{
    Codec, Context, DecodeError, DedupeKey, Failure, Fingerprint, Handler, Outcome, Record, RetryPolicy,
};

pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A handler whose event type has been forgotten.
pub(crate) trait ErasedHandler: Send + Sync {
    fn name(&self) -> &'static str;
    fn retry_policy(&self) -> RetryPolicy;
    fn replayable(&self) -> bool;
    fn ttl(&self) -> Option<Duration>;
    fn rate_limit(&self) -> Option<u32>;
    fn first_delay(&self) -> Option<Duration>;
    /// `None` without an error: a tombstone, which the handler does not ask for.
    fn decode(self: Arc<Self>, record: &Record) -> Result<Option<Arc<dyn Job>>, DecodeError>;
}

/// One decoded event, bound to the handler that will run it. Its futures own what they work on: one that waits moves to
/// another task.
pub(crate) trait Job: Send + Sync {
    fn key(&self) -> &DedupeKey;
    fn fingerprint(&self) -> Option<Fingerprint>;
    fn handle(self: Arc<Self>, ctx: Context) -> BoxFuture<Outcome>;
    fn was_applied(self: Arc<Self>, ctx: Context) -> BoxFuture<Result<bool, Failure>>;
}

pub(crate) struct WithCodec<H, C> {
    pub(crate) handler: H,
    pub(crate) codec: C,
}

struct Bound<H: Handler, C> {
    owner: Arc<WithCodec<H, C>>,
    event: H::Event,
    key: DedupeKey,
    fingerprint: Option<Fingerprint>,
}

impl<H: Handler, C: Codec<H::Event>> ErasedHandler for WithCodec<H, C> {
    fn name(&self) -> &'static str {
        H::NAME
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

    fn decode(self: Arc<Self>, record: &Record) -> Result<Option<Arc<dyn Job>>, DecodeError> {
        let event = match &record.value {
            Some(value) => self.codec.decode(value, record)?,
            None => match self.codec.decode_tombstone(record)? {
                Some(event) => event,
                None => return Ok(None),
            },
        };
        let key = self.handler.dedupe_key(&event, record);
        let fingerprint = self.handler.fingerprint(&event);
        Ok(Some(Arc::new(Bound { owner: self, event, key, fingerprint })))
    }
}

impl<H: Handler, C: Codec<H::Event>> Job for Bound<H, C> {
    fn key(&self) -> &DedupeKey {
        &self.key
    }

    fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    fn handle(self: Arc<Self>, ctx: Context) -> BoxFuture<Outcome> {
        Box::pin(async move { self.owner.handler.handle(&self.event, &ctx).await })
    }

    fn was_applied(self: Arc<Self>, ctx: Context) -> BoxFuture<Result<bool, Failure>> {
        Box::pin(async move { self.owner.handler.was_applied(&self.event, &ctx).await })
    }
}
