//! What fuzzers call of this folder.

use std::{sync::Arc, time::Duration};

use super::{
    dead_letter::HEADER_PREFIX,
    sent_on::{Again, SentOn, copy},
};
use crate::{Record, fuzzing::quotes_nothing};

/// Whatever its headers, a record is a copy of ours or is none; sent on once more it says the same, and nothing of the
/// record itself has become one of our headers.
pub(crate) fn copies(record: &Record) {
    let source = Arc::clone(&record.topic);
    drop(SentOn::guess(record, &source));
    for read in [SentOn::read, SentOn::read_later] {
        match read(record, &source) {
            Ok(sent) => sent_on_once_more(record, &sent),
            Err(why) => quotes_nothing(&why),
        }
    }
}

fn sent_on_once_more(record: &Record, sent: &SentOn) {
    let is_ours = |header: &crate::Header| header.name.starts_with(HEADER_PREFIX.as_bytes());
    assert!(sent.hop > 0 && !sent.original(record).headers.iter().any(is_ours));
    let again = Again {
        group: "payments",
        handler: "charge",
        dedupe_key: "order-1",
        delay: Duration::from_secs(60),
        now_ms: 0,
        due_ms: 60_000,
        attempts: sent.attempts,
        first_failure_ms: sent.first_failure_ms,
        fingerprint: sent.fingerprint,
    };
    let headers = copy(record, sent, &again).headers;
    let read = SentOn::read_later(&Record { headers, ..record.clone() }, &sent.topic);
    let expected = SentOn {
        handler: Some("charge".to_owned()),
        hop: sent.hop.saturating_add(1),
        due_ms: Some(60_000),
        ..sent.clone()
    };
    assert_eq!(read, Ok(expected));
}
