//! Our own headers.

use super::{
    Told,
    headers::{Headers, name, number, text, time},
};
pub(super) use crate::pipeline::dead_letter::HEADER_PREFIX as PREFIX;

pub(super) fn read(headers: Headers<'_>) -> Told {
    let of = |name: &str| headers.last(&format!("{PREFIX}{name}"));
    Told {
        topic: of("original-topic").and_then(name),
        partition: of("original-partition").and_then(number),
        offset: of("original-offset").and_then(number),
        timestamp: of("original-timestamp").and_then(number),
        group: of("group").and_then(name),
        handler: of("handler").and_then(name),
        // Kept exactly: it names an event.
        dedupe_key: of("dedupe-key").and_then(|key| Some(std::str::from_utf8(key).ok()?.to_owned())),
        disposition: of("disposition").and_then(name),
        attempts: of("attempts").and_then(number),
        first_failure: of("first-failure-at").and_then(time),
        last_failure: of("last-failure-at").and_then(time),
        error: of("error").and_then(text),
        class: None,
        chain: of("error-chain").and_then(text),
        redrives: of("redrive-count").and_then(number).unwrap_or_default(),
        hop: of("hop").and_then(number).unwrap_or_default(),
    }
}
