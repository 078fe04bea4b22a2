//! From structured to binary mode: attributes and data in one value become headers and a value.

use std::sync::Arc;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

use super::{CONTENT_TYPE, PREFIX, envelope::Envelope};
use crate::{Header, Record};

const MEDIA_TYPE: &str = "application/cloudevents";
const JSON: &str = "application/json";

/// The record as it would be in binary mode: itself, unless it is a structured CloudEvent. An error says what the
/// specification forbids, without quoting it.
pub(crate) fn to_binary(record: &Arc<Record>) -> Result<Arc<Record>, String> {
    let (Some(value), Some(media_type)) = (&record.value, record.header(CONTENT_TYPE)) else {
        return Ok(Arc::clone(record));
    };
    let Some(format) = after(MEDIA_TYPE, media_type) else { return Ok(Arc::clone(record)) };
    match essence(format).as_str() {
        "+json" => match unpack(record, value) {
            Ok(binary) => Ok(Arc::new(binary)),
            Err(error) => Err(format!("no structured CloudEvent: {error}")),
        },
        "-batch+json" => Err("a batch of CloudEvents: send each as a record of its own".to_owned()),
        _ => Err(format!("a CloudEvent in a format that cannot be read; {MEDIA_TYPE}+json can")),
    }
}

/// What comes after a prefix, whatever the case of its letters.
fn after<'a>(prefix: &str, text: &'a [u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

/// A media type without its parameters.
fn essence(media_type: &[u8]) -> String {
    let essence = media_type.split(|byte| *byte == b';').next().unwrap_or_default();
    String::from_utf8_lossy(essence.trim_ascii()).to_ascii_lowercase()
}

fn unpack(record: &Record, value: &Bytes) -> Result<Record, String> {
    let envelope = Envelope::read(value)?;
    let content_type = envelope.get("datacontenttype").unwrap_or(JSON);
    let data = data(&envelope, content_type, value)?;
    let attributes = envelope
        .attributes
        .iter()
        .filter(|(name, _)| name != "datacontenttype")
        .map(|(name, value)| Header::text(format!("{PREFIX}{name}"), value.to_string()));
    // Beside the envelope a sender may repeat attributes as headers; the envelope is what counts.
    let replaced = |name: &[u8]| name.starts_with(PREFIX.as_bytes()) || name == CONTENT_TYPE.as_bytes();
    let headers = record.headers.iter().filter(|header| !replaced(&header.name)).cloned();
    let content_type = Header::text(CONTENT_TYPE, content_type.to_owned());
    Ok(Record {
        value: Some(data),
        headers: headers.chain(attributes).chain([content_type]).collect(),
        ..coordinates(record)
    })
}

/// The data as bytes. An event without data is no tombstone in this mode: it has the JSON value null, or no bytes.
fn data(envelope: &Envelope<'_>, content_type: &str, value: &Bytes) -> Result<Bytes, String> {
    match (envelope.data, &envelope.data_base64, is_json(content_type)) {
        (Some(_), Some(_), _) => Err("it has both `data` and `data_base64`".to_owned()),
        (None, Some(text), _) => BASE64_STANDARD
            .decode(&**text)
            .map(Bytes::from)
            .map_err(|_| "`data_base64` is not Base64".to_owned()),
        // A part of the value: nothing is copied.
        (Some(data), None, true) => Ok(value.slice_ref(data.get().as_bytes())),
        (Some(data), None, false) => serde_json::from_str::<String>(data.get())
            .map(Bytes::from)
            .map_err(|_| "`data` is no string, though `datacontenttype` is not JSON".to_owned()),
        (None, None, true) => Ok(Bytes::from_static(b"null")),
        (None, None, false) => Ok(Bytes::new()),
    }
}

/// Whether a media type is `*/json` or `*/*+json`.
fn is_json(media_type: &str) -> bool {
    let essence = essence(media_type.as_bytes());
    essence.split_once('/').is_some_and(|(_, subtype)| subtype == "json" || subtype.ends_with("+json"))
}

/// The record without value and headers.
fn coordinates(record: &Record) -> Record {
    Record {
        topic: Arc::clone(&record.topic),
        partition: record.partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.clone(),
        value: None,
        headers: Vec::new(),
    }
}
