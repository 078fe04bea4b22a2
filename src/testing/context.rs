//! A context of its own, for calling a handler without a pipeline.

use std::sync::{Arc, OnceLock};

use crate::{
    Context, Record,
    context::Run,
    publication::{Names, Origin, OriginKey},
};

/// The context of a first attempt at an event with this idempotency key, for calling a handler directly.
#[must_use]
pub fn context(idempotency_key: &str) -> Context {
    let record = Arc::new(record());
    let run = Run {
        record: Arc::clone(&record),
        delivered: record,
        fencing_token: 1,
        attempt: 1,
        cancelled: OnceLock::new(),
        replay: false,
        span: None,
    };
    let names = Names { service: "test".into(), group: "test".into(), topics: None };
    let key = OriginKey::Text(idempotency_key.to_owned());
    Context::new(run, Origin { names: Arc::new(names), handler: "test", key }).called(idempotency_key)
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
