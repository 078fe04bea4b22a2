//! What fuzzers call: every decoder of what comes from outside, by its name. For nobody else.
//!
//! Each takes any bytes and has to answer. A panic, an overflow of the stack and a text that quotes the payload are
//! findings; each becomes a named test.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    Bytes, Codec, Confluent, Header, Json, Protobuf, Raw, Record, TypedJson, check, cloud_event, config,
    fleet, ledger, letters, pipeline, publication, redis, replay, store, telemetry::TraceContext,
};

/// What has to answer.
pub type Target = fn(&[u8]);

/// All of them.
pub const TARGETS: [(&str, Target); 17] = [
    ("cloud_event", cloud_event),
    ("config", |bytes| text(bytes, config::fuzz)),
    ("confluent", confluent),
    ("control", |bytes| fleet::fuzz(&record_of(bytes))),
    ("copies", |bytes| pipeline::fuzzing::copies(&record_of(bytes))),
    ("headers", headers),
    ("json", json),
    ("ledger_entry", |bytes| ledger::fuzz(&record_of(bytes))),
    ("letters", |bytes| letters::fuzz(&record_of(bytes))),
    ("marks", |bytes| letters::fuzz_mark(&record_of(bytes))),
    ("notes", notes),
    ("protobuf", protobuf),
    ("redis_replies", redis::fuzzing::replies),
    ("redis_report", |bytes| text(bytes, redis::fuzzing::report)),
    ("store_record", redis::fuzzing::record),
    ("texts", |bytes| text(bytes, texts)),
    ("typed_json", typed_json),
];

/// Gives one of them an input.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "there is no target {name}");
    target.into_iter().for_each(|(_, target)| target(bytes));
}

/// In a seed this stands for what must not be quoted. No error of ours has it by itself.
pub const CANARY: &str = "@@4111@@";

/// An error must not quote what it is about.
pub(crate) fn quotes_nothing(error: &impl std::fmt::Display) {
    let error = error.to_string();
    assert!(!error.contains(CANARY), "{error}");
    assert!(error.len() < 4096, "{error}");
}

/// A record as seeds have it: the first line is the key, then one header a line (`name: value`), an empty line, the value.
/// Without an empty line all of it is the value.
fn record_of(bytes: &[u8]) -> Record {
    let at = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (head, value) = at.map_or((&[][..], bytes), |at| (&bytes[..at], &bytes[at + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let key = at.and_then(|_| lines.next()).map(Bytes::copy_from_slice);
    let header = |line: &[u8]| {
        let at = line.windows(2).position(|pair| pair == b": ");
        let (name, value) = at.map_or((line, None), |at| (&line[..at], Some(&line[at + 2..])));
        Header { name: Bytes::copy_from_slice(name), value: value.map(Bytes::copy_from_slice) }
    };
    Record {
        topic: "orders".into(),
        partition: 0,
        offset: 0,
        timestamp: None,
        key,
        value: Some(Bytes::copy_from_slice(value)),
        headers: lines.map(header).collect(),
    }
}

fn text(bytes: &[u8], read: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
}

fn cloud_event(bytes: &[u8]) {
    match cloud_event::to_binary(&Arc::new(record_of(bytes))) {
        Ok(binary) => {
            if let Some(event) = binary.cloud_event() {
                assert!(
                    !event.id().is_empty() && !event.source().is_empty() && !event.event_type().is_empty()
                );
                let optional =
                    [event.subject(), event.time(), event.data_schema(), event.data_content_type()];
                assert!(optional.iter().flatten().all(|text| text.len() <= bytes.len() * 6));
            }
            drop(crate::DedupeKey::cloud_event(&binary));
        }
        Err(why) => quotes_nothing(&why),
    }
}

fn headers(bytes: &[u8]) {
    let record = record_of(bytes);
    if let Some(trace) = record.trace() {
        assert_eq!(TraceContext::parse(trace.to_header_value().as_bytes()), Some(trace));
    }
    assert!(record.tracestate().is_none_or(|text| text.len() <= 512));
}

/// One codec and one kind of event.
fn decode<Event, C: Codec<Event>>(codec: &C, record: &Record) {
    let value = record.value.clone().unwrap_or_default();
    if let Err(error) = codec.decode(&value, record) {
        quotes_nothing(&error);
    }
}

/// Whatever serde may be asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "what is read is dropped")]
struct Strict {
    id: u64,
    name: Option<String>,
    #[serde(default)]
    lines: Vec<(i8, char, f32)>,
    #[serde(default)]
    raw: Box<str>,
    next: Option<Box<Strict>>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
#[expect(dead_code, reason = "what is read is dropped")]
enum Tagged {
    #[serde(rename = "order.created")]
    Created { id: u64, at: Timestamp },
    #[serde(rename = "order.lost")]
    Lost,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "what is read is dropped")]
enum Typed {
    #[serde(rename = "order.created")]
    Created(Strict),
    #[serde(rename = "order.moved")]
    Moved { to: String },
    #[serde(rename = "order.weighed")]
    Weighed(u8, String),
    #[serde(rename = "order.closed")]
    Closed,
}

fn json(bytes: &[u8]) {
    let record = record_of(bytes);
    decode::<serde_json::Value, _>(&Json, &record);
    decode::<Strict, _>(&Json, &record);
    decode::<Tagged, _>(&Json, &record);
}

fn typed_json(bytes: &[u8]) {
    decode::<Typed, _>(&TypedJson::new(), &record_of(bytes));
}

fn confluent(bytes: &[u8]) {
    let record = record_of(bytes);
    decode::<Bytes, _>(&Confluent::new(Raw), &record);
    decode::<serde_json::Value, _>(&Confluent::new(Json), &record);
    decode::<Bytes, _>(&Confluent::protobuf(Raw).message([1, 64]), &record);
}

/// Messages that prost has for Rust's own types: a text, bytes, numbers.
fn protobuf(bytes: &[u8]) {
    let record = record_of(bytes);
    decode::<String, _>(&Protobuf, &record);
    decode::<Vec<u8>, _>(&Protobuf, &record);
    decode::<u64, _>(&Protobuf, &record);
    decode::<f64, _>(&Protobuf, &record);
    decode::<String, _>(&Confluent::protobuf(Protobuf), &record);
}

/// What is kept beside the claims and with the marks of effects.
fn notes(bytes: &[u8]) {
    drop(serde_json::from_slice::<replay::Entry>(bytes));
    drop(serde_json::from_slice::<ledger::Since>(bytes));
    drop(serde_json::from_slice::<Vec<publication::Outgoing>>(bytes));
}

/// What people write, and what one worker leaves for another.
fn texts(text: &str) {
    let now = Timestamp::UNIX_EPOCH;
    if let Ok(bound) = replay::Bound::parse(text, now) {
        assert!(!bound.to_string().is_empty());
    }
    drop(replay::parse_partitions(text));
    drop(text.parse::<check::Accept>());
    if let Ok(position) = text.parse::<store::Accepted>() {
        assert_eq!(position.to_string().parse(), Ok(position));
    }
    drop(text.parse::<store::Owner>());
    if let Some(trace) = TraceContext::parse(text.as_bytes()) {
        assert_eq!(TraceContext::parse(trace.to_header_value().as_bytes()), Some(trace));
    }
}
