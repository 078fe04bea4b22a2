//! A context of its own, for calling a handler without a pipeline.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{Context, Record, context::Run, publication::Origin};

/// The context of a first attempt at an event with this idempotency key, for calling a handler directly.
#[must_use]
pub fn context(idempotency_key: &str) -> Context {
    let record = Arc::new(record());
    let run = Run {
        record: Arc::clone(&record),
        group: "test".into(),
        fencing_token: 1,
        attempt: 1,
        cancelled: CancellationToken::new(),
        replay: false,
    };
    let (service, dedupe_key) = ("test".into(), idempotency_key.to_owned());
    Context::new(run, Origin { service, handler: "test", dedupe_key, record, topics: None })
        .called(idempotency_key)
}

/// A record without key, value and headers.
pub(crate) fn record() -> Record {
    Record {
        topic: "test".into(),
        partition: 0,
        offset: 0,
        timestamp: None,
        key: None,
        value: None,
        headers: Vec::new(),
    }
}

/// What a handler has published so far: topic, record key and value of each event.
#[must_use]
pub fn published(ctx: &Context) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    ctx.outbox().events().into_iter().map(|event| (event.topic, event.key, event.value)).collect()
}
