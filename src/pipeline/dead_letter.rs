//! What cannot be handled, sent where a person can see it.

use std::time::SystemTime;

use bytes::Bytes;

use super::{decode::MAX_KEY_BYTES, failure::Failed, produce::NewRecord};
pub use crate::telemetry::metrics::Disposition;
use crate::{Header, Record, telemetry::metrics::Label};

/// The topic of a group's dead letters.
#[must_use]
pub fn dead_letter_topic(topic: &str, group: &str) -> String {
    format!("{topic}.{group}.dlt")
}

/// The prefix of the headers that are ours. Inbound ones are dropped: a producer must not pretend.
pub const HEADER_PREFIX: &str = "oncewise-";

/// What is known about the end of a record.
#[derive(Debug)]
pub(crate) struct Verdict<'a> {
    pub(crate) group: &'a str,
    /// `None`: nobody takes it.
    pub(crate) handler: Option<&'a str>,
    pub(crate) dedupe_key: Option<&'a str>,
    pub(crate) disposition: Disposition,
    pub(crate) attempts: u32,
    /// Milliseconds since 1970, if an attempt failed before this one.
    pub(crate) first_failure: Option<i64>,
    pub(crate) failed: &'a Failed,
    /// How often we had sent it on.
    pub(crate) hop: u32,
    /// How often a person had sent it back.
    pub(crate) redrives: u32,
}

/// The letter about a record that ended like this at `now`: the record as it was, and our headers. It keeps the
/// source's partition, and with it the order of a key, where the letters' topic has as many.
pub(crate) fn letter(record: &Record, verdict: &Verdict<'_>, now: SystemTime) -> NewRecord {
    let mut headers: Vec<Header> = record
        .headers
        .iter()
        .filter(|header| !header.name.starts_with(HEADER_PREFIX.as_bytes()))
        .cloned()
        .collect();
    let mut ours =
        |name: &str, value: String| headers.push(Header::text(format!("{HEADER_PREFIX}{name}"), value));
    let now = millis(now);
    ours("original-topic", record.topic.to_string());
    ours("original-partition", record.partition.to_string());
    ours("original-offset", record.offset.to_string());
    if let Some(timestamp) = record.timestamp {
        ours("original-timestamp", timestamp.to_string());
    }
    ours("group", verdict.group.to_owned());
    if let Some(handler) = verdict.handler {
        ours("handler", handler.to_owned());
    }
    if let Some(key) = verdict.dedupe_key {
        ours("dedupe-key", key.to_owned());
    }
    ours("disposition", verdict.disposition.as_str().to_owned());
    ours("attempts", verdict.attempts.to_string());
    ours("first-failure-at", rfc3339(verdict.first_failure.unwrap_or(now)));
    ours("last-failure-at", rfc3339(now));
    ours("error", verdict.failed.error.clone());
    ours("error-chain", verdict.failed.chain.clone());
    ours("redrive-count", verdict.redrives.to_string());
    if verdict.hop > 0 {
        ours("hop", verdict.hop.to_string());
    }
    NewRecord {
        topic: dead_letter_topic(&record.topic, verdict.group),
        partition: Some(record.partition),
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: record.value.clone(),
        headers,
    }
}

/// The same letter with the coordinates and our headers only, for what the broker finds too large.
pub(crate) fn without_content(mut letter: NewRecord) -> NewRecord {
    letter.value = None;
    letter.key = letter.key.filter(|key| key.len() <= MAX_KEY_BYTES);
    letter.headers.retain(|header| header.name.starts_with(HEADER_PREFIX.as_bytes()));
    let disposition = format!("{HEADER_PREFIX}disposition");
    for header in letter.headers.iter_mut().filter(|header| header.name == disposition.as_bytes()) {
        header.value = Some(Bytes::from_static(Disposition::TooLarge.as_str().as_bytes()));
    }
    letter
}

pub(super) fn rfc3339(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| millis.to_string(), |time| time.to_string())
}

/// The present, in milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    millis(SystemTime::now())
}

/// Milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::pipeline::failure::{MAX_CHAIN_BYTES, MAX_ERROR_BYTES};

    fn record() -> Record {
        Record {
            topic: "orders".into(),
            partition: 3,
            offset: 42,
            timestamp: Some(1_000),
            key: Some("k".into()),
            value: Some("v".into()),
            headers: vec![
                Header { name: b"\xff\xfe"[..].into(), value: None },
                Header::text("oncewise-attempts", "9999"),
                Header::text("tenant", ""),
            ],
        }
    }

    fn verdict<'a>(failed: &'a Failed, key: &'a str) -> Verdict<'a> {
        Verdict {
            group: "payments",
            handler: Some("charge"),
            dedupe_key: Some(key),
            disposition: Disposition::Exhausted,
            attempts: 5,
            first_failure: Some(2_000),
            failed,
            hop: 0,
            redrives: 0,
        }
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(3_000)
    }

    #[test]
    fn a_letter_keeps_the_record_and_says_everything() {
        let failed = Failed { error: "busy".into(), chain: "socket".into(), after: None, retryable: true };
        let letter = letter(&record(), &verdict(&failed, "evt-1"), now());
        assert_eq!(
            (letter.topic.as_str(), letter.partition, letter.timestamp),
            ("orders.payments.dlt", Some(3), Some(1_000))
        );
        assert_eq!((letter.key.as_deref(), letter.value.as_deref()), (Some(&b"k"[..]), Some(&b"v"[..])));
        assert_eq!(letter.headers[..2], [record().headers[0].clone(), record().headers[2].clone()]);
        let ours: Vec<(String, String)> = letter.headers[2..]
            .iter()
            .map(|h| {
                (
                    String::from_utf8_lossy(&h.name).into(),
                    String::from_utf8_lossy(h.value.as_ref().unwrap()).into(),
                )
            })
            .collect();
        let expected = [
            ("original-topic", "orders"),
            ("original-partition", "3"),
            ("original-offset", "42"),
            ("original-timestamp", "1000"),
            ("group", "payments"),
            ("handler", "charge"),
            ("dedupe-key", "evt-1"),
            ("disposition", "exhausted"),
            ("attempts", "5"),
            ("first-failure-at", "1970-01-01T00:00:02Z"),
            ("last-failure-at", "1970-01-01T00:00:03Z"),
            ("error", "busy"),
            ("error-chain", "socket"),
            ("redrive-count", "0"),
        ];
        assert_eq!(ours, expected.map(|(name, value)| (format!("oncewise-{name}"), value.to_owned())));
    }

    #[test]
    fn a_letter_about_a_copy_counts_on() {
        let failed = Failed::text("busy");
        let letter = letter(&record(), &Verdict { hop: 3, redrives: 1, ..verdict(&failed, "evt-1") }, now());
        let record = Record { headers: letter.headers, ..record() };
        assert_eq!(record.header("oncewise-hop"), Some(&b"3"[..]));
        assert_eq!(record.header("oncewise-redrive-count"), Some(&b"1"[..]));
    }

    #[test]
    fn our_headers_together_stay_below_16_kib() {
        let failed = Failed {
            error: "e".repeat(MAX_ERROR_BYTES),
            chain: "c".repeat(MAX_CHAIN_BYTES),
            after: None,
            retryable: true,
        };
        let key = "k".repeat(crate::pipeline::decode::MAX_KEY_BYTES);
        let letter = letter(&record(), &verdict(&failed, &key), now());
        let bytes: usize =
            letter.headers[2..].iter().map(|h| h.name.len() + h.value.as_ref().unwrap().len()).sum();
        assert!(bytes < 16 * 1024, "{bytes}");
    }

    #[test]
    fn what_is_too_large_leaves_its_coordinates() {
        let failed = Failed::text("busy");
        let small = without_content(letter(&record(), &verdict(&failed, "evt-1"), now()));
        assert_eq!((small.key.as_deref(), small.value), (Some(&b"k"[..]), None));
        let record = Record { headers: small.headers, ..record() };
        assert_eq!(record.header("oncewise-disposition"), Some(&b"too-large"[..]));
        assert_eq!(record.header("oncewise-original-offset"), Some(&b"42"[..]));
        assert_eq!(record.header("tenant"), None);
    }
}
