//! Bytes → an event, its key and the handler that takes it, or the reason why not.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use super::{dead_letter::Disposition, limits::Limits, route::Route, sent_on::SentOn};
use crate::{
    DedupeKey, Fingerprint, Record, Unknown,
    cloud_event::to_binary,
    erased::Job,
    routes::Table,
    store::{Claim, Grant},
    telemetry::spans::Process,
};

/// The longest dedupe key, in bytes: it travels in a header of the dead letter.
pub const MAX_KEY_BYTES: usize = 1024;

/// What a record turned out to hold.
pub(crate) enum Decoded {
    /// An event with a key.
    Event(Event),
    /// Nobody asks for it, and what it is.
    Unwanted(&'static str),
    /// Nothing that can be handled, and why. No attempt is made.
    Unfit(Disposition, String),
}

/// An event with a key, and the handler that takes it.
pub(crate) struct Event {
    pub(crate) route: Arc<Route>,
    /// What its handler sees: the record, and of a structured CloudEvent the one in binary mode.
    pub(crate) meta: Arc<Record>,
    pub(crate) job: Arc<dyn Job>,
    /// The span of the work on it, where somebody records it.
    pub(crate) span: Option<Arc<Process>>,
    /// Of what we have sent on ourselves.
    pub(crate) sent_on: Option<Box<SentOn>>,
}

impl Event {
    pub(crate) fn key(&self) -> &DedupeKey {
        self.job.key()
    }

    /// What its content hashes to: of a copy that was to be tried later, what it did when it was claimed first, for its
    /// handler may hash otherwise since.
    pub(super) fn fingerprint(&self) -> Option<u64> {
        let first = self.sent_on.as_ref().and_then(|sent_on| sent_on.fingerprint);
        first.or_else(|| self.job.fingerprint().map(Fingerprint::get))
    }

    /// The store's answer, with what a copy knows of earlier attempts: the store may have forgotten them.
    pub(super) fn remembering(&self, claim: Claim) -> Claim {
        let Some(sent_on) = &self.sent_on else { return claim };
        let with = |grant: Grant| Grant {
            attempts: grant.attempts.max(sent_on.attempts),
            first_failure_ms: grant.first_failure_ms.or(sent_on.first_failure_ms),
            ..grant
        };
        match claim {
            Claim::Won(grant) => Claim::Won(with(grant)),
            Claim::TakenOver(grant) => Claim::TakenOver(with(grant)),
            Claim::Spent(grant) => Claim::Spent(with(grant)),
            other => other,
        }
    }
}

impl Decoded {
    /// The same of a copy.
    pub(super) fn sent_on(self, sent_on: SentOn) -> Self {
        match self {
            Self::Event(event) => Self::Event(Event { sent_on: Some(Box::new(sent_on)), ..event }),
            other => other,
        }
    }
}

/// Decodes one record. Also answers the handler it is for, as far as that is known.
pub(crate) fn decode<'a>(
    table: &'a Table<Arc<Route>>,
    limits: Limits,
    record: &Arc<Record>,
) -> (Option<&'a Arc<Route>>, Decoded) {
    if let Some(why) = limits.excess(record) {
        return (table.whole(), Decoded::Unfit(Disposition::TooLarge, why));
    }
    let meta = match to_binary(record) {
        Ok(meta) => meta,
        Err(why) => return (table.whole(), Decoded::Unfit(Disposition::Undecodable, why)),
    };
    match table.find(&meta) {
        Some(route) => (Some(route), event(route, meta, table.unknown)),
        // Those that compaction is for rarely have a header that names a type.
        None if record.value.is_none() && meta.header(&table.header).is_none() => {
            (None, Decoded::Unwanted("a tombstone of no type"))
        }
        None => (None, nobody(table.unknown, || table.why_nobody(&meta))),
    }
}

/// Decodes one record for a handler that is known, whatever its type.
pub(super) fn decode_for(
    route: &Arc<Route>,
    unknown: Unknown,
    limits: Limits,
    record: &Arc<Record>,
) -> Decoded {
    if let Some(why) = limits.excess(record) {
        return Decoded::Unfit(Disposition::TooLarge, why);
    }
    match to_binary(record) {
        Ok(meta) => event(route, meta, unknown),
        Err(why) => Decoded::Unfit(Disposition::Undecodable, why),
    }
}

/// A panic in the codec, in `dedupe_key` or in `fingerprint` is an answer like any other.
fn event(route: &Arc<Route>, meta: Arc<Record>, unknown: Unknown) -> Decoded {
    let undecodable = |why| Decoded::Unfit(Disposition::Undecodable, why);
    let decoded = catch_unwind(AssertUnwindSafe(|| Arc::clone(&route.handler).decode(&meta)));
    let job = match decoded {
        Ok(Ok(Some(job))) => job,
        Ok(Ok(None)) => return Decoded::Unwanted("a tombstone, which its handler does not ask for"),
        Ok(Err(error)) if error.is_unknown_type() => return nobody(unknown, || error.to_string()),
        Ok(Err(error)) => return undecodable(error.to_string()),
        Err(_) => return undecodable("the decoder panicked".to_owned()),
    };
    let no_key = |why| Decoded::Unfit(Disposition::NoKey, why);
    match job.key().as_str().len() {
        0 => {
            let why = job.key().why_empty().map_or_else(String::new, |why| format!(": {why}"));
            no_key(format!("the dedupe key is empty{why}"))
        }
        1..=MAX_KEY_BYTES => {
            Decoded::Event(Event { route: Arc::clone(route), meta, job, sent_on: None, span: None })
        }
        length => no_key(format!("the dedupe key has {length} bytes; {MAX_KEY_BYTES} are allowed")),
    }
}

/// Of a type that nobody takes.
fn nobody(unknown: Unknown, why: impl FnOnce() -> String) -> Decoded {
    match unknown {
        Unknown::DeadLetter => Decoded::Unfit(Disposition::NoHandler, why()),
        Unknown::Skip => Decoded::Unwanted("of a type that nobody takes"),
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
