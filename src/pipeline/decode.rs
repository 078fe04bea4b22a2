//! Bytes → an event and its key, or the reason why not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::dead_letter::Disposition;
use crate::{
    Record,
    erased::{ErasedHandler, Job},
};

/// The longest dedupe key, in bytes: it travels in a header of the dead letter.
pub const MAX_KEY_BYTES: usize = 1024;

/// What a record turned out to hold.
pub(crate) enum Decoded {
    /// An event with a key.
    Event(Box<dyn Job>),
    /// No value: the record deletes its key, which no handler asks for.
    Tombstone,
    /// Nothing that can be handled, and why. No attempt is made.
    Unfit(Disposition, String),
}

/// Decodes one record. A panic in the codec, in `dedupe_key` or in `fingerprint` is an answer like any
/// other.
pub(crate) fn decode(handler: &Arc<dyn ErasedHandler>, record: &Record) -> Decoded {
    let Some(value) = &record.value else { return Decoded::Tombstone };
    let decoded = catch_unwind(AssertUnwindSafe(|| Arc::clone(handler).decode(value, record)));
    let job = match decoded {
        Ok(Ok(job)) => job,
        Ok(Err(error)) => return Decoded::Unfit(Disposition::Undecodable, error.to_string()),
        Err(_) => return Decoded::Unfit(Disposition::Undecodable, "the decoder panicked".to_owned()),
    };
    match job.key().as_str().len() {
        0 => Decoded::Unfit(Disposition::NoKey, "the dedupe key is empty".to_owned()),
        1..=MAX_KEY_BYTES => Decoded::Event(job),
        length => {
            let text = format!("the dedupe key has {length} bytes; {MAX_KEY_BYTES} are allowed");
            Decoded::Unfit(Disposition::NoKey, text)
        }
    }
}
