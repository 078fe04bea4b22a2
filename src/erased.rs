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
    /// The same handler, of which it is counted apart who refers to it.
    fn apart(&self) -> Arc<dyn ErasedHandler>;
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

pub(crate) struct WithCodec<H, C>(Arc<Parts<H, C>>);

struct Parts<H, C> {
    handler: H,
    codec: C,
}

impl<H, C> WithCodec<H, C> {
    pub(crate) fn new(handler: H, codec: C) -> Self {
        Self(Arc::new(Parts { handler, codec }))
    }
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
        self.0.handler.retry_policy()
    }

    fn replayable(&self) -> bool {
        self.0.handler.replayable()
    }

    fn ttl(&self) -> Option<Duration> {
        self.0.handler.ttl()
    }

    fn rate_limit(&self) -> Option<u32> {
        self.0.handler.rate_limit()
    }

    fn first_delay(&self) -> Option<Duration> {
        self.0.handler.first_delay()
    }

    fn apart(&self) -> Arc<dyn ErasedHandler> {
        Arc::new(Self(Arc::clone(&self.0)))
    }

    fn decode(self: Arc<Self>, record: &Record) -> Result<Option<Arc<dyn Job>>, DecodeError> {
        let event = match &record.value {
            Some(value) => self.0.codec.decode(value, record)?,
            None => match self.0.codec.decode_tombstone(record)? {
                Some(event) => event,
                None => return Ok(None),
            },
        };
        let key = self.0.handler.dedupe_key(&event, record);
        let fingerprint = self.0.handler.fingerprint(&event);
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
        Box::pin(async move { self.owner.0.handler.handle(&self.event, &ctx).await })
    }

    fn was_applied(self: Arc<Self>, ctx: Context) -> BoxFuture<Result<bool, Failure>> {
        Box::pin(async move { self.owner.0.handler.was_applied(&self.event, &ctx).await })
    }
}
