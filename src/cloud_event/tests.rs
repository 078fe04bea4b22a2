use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{DedupeKey, Header, testing};

const JSON: &str = "application/cloudevents+json; charset=UTF-8";

fn structured(media_type: &'static str, envelope: impl Into<Bytes>) -> Record {
    Record {
        value: Some(envelope.into()),
        headers: vec![Header::text("tenant", "north"), Header::text("content-type", media_type)],
        ..testing::record()
    }
}

fn binary(envelope: impl Into<Bytes>) -> Result<Record, String> {
    to_binary(&Arc::new(structured(JSON, envelope))).map(|record| (*record).clone())
}

/// An envelope with the four attributes that must be there, and these members.
fn with(members: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"7","source":"/shop","type":"order.created"{members}}}"#)
}

fn value(members: &str) -> String {
    String::from_utf8(binary(with(members)).unwrap().value.unwrap().to_vec()).unwrap()
}

fn refusal(envelope: &str) -> String {
    let refusal = binary(envelope.to_owned()).unwrap_err();
    refusal.strip_prefix("no structured CloudEvent: ").unwrap().to_owned()
}

#[test]
fn a_structured_event_becomes_the_binary_one() {
    let record = binary(with(
        r#","subject":null,"time":"2018-04-05T17:31:00Z","shard":-5,"sampled":true,"note":"a\nb","data": {"a" : [1]} "#,
    ))
    .unwrap();
    assert_eq!(record.value.as_deref(), Some(&br#"{"a" : [1]}"#[..]));
    let headers: Vec<(String, String)> = record
        .headers
        .iter()
        .map(|header| [&header.name, header.value.as_ref().unwrap()])
        .map(|pair| pair.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()))
        .map(|[name, value]| (name, value))
        .collect();
    let expected = [
        ("tenant", "north"),
        ("ce_specversion", "1.0"),
        ("ce_id", "7"),
        ("ce_source", "/shop"),
        ("ce_type", "order.created"),
        ("ce_time", "2018-04-05T17:31:00Z"),
        ("ce_shard", "-5"),
        ("ce_sampled", "true"),
        ("ce_note", "a\nb"),
        ("content-type", "application/json"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let event = record.cloud_event().unwrap();
    assert_eq!((event.id(), event.source(), event.event_type()), ("7", "/shop", "order.created"));
    assert_eq!((event.subject(), event.time()), (None, Some("2018-04-05T17:31:00Z")));
    assert_eq!((event.attribute("shard"), event.data_content_type()), (Some("-5"), Some("application/json")));
}

#[test]
fn data_is_taken_as_its_content_type_says() {
    assert_eq!(value(r#","data":"just a string""#), r#""just a string""#);
    assert_eq!(value(r#","datacontenttype":"text/xml","data":"<a b=\"c\"/>""#), r#"<a b="c"/>"#);
    assert_eq!(value(r#","datacontenttype":"application/vnd.x+json; v=1","data":"x""#), r#""x""#);
    assert_eq!(value(r#","datacontenttype":"Text/JSON","data":[ 1 ]"#), "[ 1 ]");
    assert_eq!(value(r#","datacontenttype":"text/plain","data_base64":"aGk=""#), "hi");
    assert_eq!(value(r#","data":null"#), "null");
    assert_eq!(value(""), "null", "without data it is no tombstone");
    assert_eq!(value(r#","datacontenttype":"application/protobuf""#), "");
}

#[test]
fn json_data_is_not_copied() {
    let record = structured(JSON, with(r#","data":[1]"#));
    let envelope = record.value.clone().unwrap();
    let data = to_binary(&Arc::new(record)).unwrap().value.clone().unwrap();
    assert!(envelope.as_ptr_range().contains(&data.as_ptr()));
}

#[test]
fn the_envelope_counts_before_headers_beside_it() {
    let mut record = structured(JSON, with(""));
    record.headers.push(Header::text("ce_id", "8"));
    record.headers.push(Header::text("ce_subject", "forged"));
    let binary = to_binary(&Arc::new(record)).unwrap();
    assert_eq!(binary.cloud_event().map(|event| (event.id(), event.subject())), Some(("7", None)));
}

#[test]
fn anything_else_is_left_as_it_is() {
    let json = Arc::new(structured("application/json", with("")));
    assert!(Arc::ptr_eq(&to_binary(&json).unwrap(), &json));
    let tombstone = Arc::new(Record { value: None, ..structured(JSON, "") });
    assert!(Arc::ptr_eq(&to_binary(&tombstone).unwrap(), &tombstone));
    let bare = Arc::new(testing::record());
    assert!(Arc::ptr_eq(&to_binary(&bare).unwrap(), &bare));
}

#[test]
fn media_types_are_read_in_any_case_and_other_formats_are_named() {
    let read = |media_type| to_binary(&Arc::new(structured(media_type, with(""))));
    assert!(read("Application/CloudEvents+JSON").is_ok());
    let batch = "a batch of CloudEvents: send each as a record of its own";
    assert_eq!(read("application/cloudevents-batch+json").unwrap_err(), batch);
    let other = "a CloudEvent in a format that cannot be read; application/cloudevents+json can";
    for media_type in ["application/cloudevents", "application/cloudevents+avro", "application/cloudeventsx"]
    {
        assert_eq!(read(media_type).unwrap_err(), other, "{media_type}");
    }
}

#[test]
fn what_the_specification_forbids_is_refused_without_being_quoted() {
    let cases = [
        (r#"{"4111":"#.to_owned(), "not JSON: it ends too early at line 1 column 8"),
        (
            r#"["4111"]"#.to_owned(),
            "JSON of another shape: a value of the wrong type or form at line 1 column 0",
        ),
        (with("").replace(r#""id":"7","#, ""), "the attribute `id` is missing"),
        (with("").replace(r#""/shop""#, "null"), "the attribute `source` is missing"),
        (with("").replace("order.created", ""), "the attribute `type` is empty"),
        (with("").replace("1.0", "4111"), "`specversion` is not 1.0, the only one that can be read"),
        (with(r#","subject":"""#), "the attribute `subject` is empty"),
        (with(r#","time":"4111""#), "the attribute `time` is no RFC 3339 time"),
        (with(r#","id":"4111""#), "an attribute occurs twice"),
        (
            with(&(0..300).map(|n| format!(r#","a{n}":"4111""#)).collect::<String>()),
            "it has more than 256 attributes",
        ),
        (with(r#","Card":"4111""#), "the name of an attribute is not of a-z and 0-9"),
        (with(r#","card":4111.5"#), "an attribute is no string, whole number or boolean"),
        (with(r#","card":{"n":4111}"#), "an attribute is no string, whole number or boolean"),
        (with(r#","data":1,"data":4111"#), "its data occurs twice"),
        (with(r#","data":1,"data_base64":"aGk=""#), "it has both `data` and `data_base64`"),
        (with(r#","data_base64":"4111-""#), "`data_base64` is not Base64"),
        (
            with(r#","datacontenttype":"text/xml","data":4111"#),
            "`data` is no string, though `datacontenttype` is not JSON",
        ),
    ];
    for (envelope, expected) in cases {
        assert_eq!(refusal(&envelope), expected, "{envelope}");
    }
    let shape = refusal(&with(r#","data_base64":4111"#));
    assert!(shape.starts_with("JSON of another shape") && !shape.contains("4111"), "{shape}");
    assert!(binary(&b"\xff{}"[..]).is_err());
}

#[test]
fn a_binary_event_needs_its_four_headers() {
    let headers = [("ce_id", "7"), ("ce_source", "/shop"), ("ce_type", "t"), ("ce_specversion", "1.0")];
    let record = |headers: &[(&'static str, &'static str)]| Record {
        headers: headers.iter().map(|(name, value)| Header::text(*name, *value)).collect(),
        ..testing::record()
    };
    assert!(record(&headers).cloud_event().is_some());
    for wrong in 0..4 {
        let mut some = headers;
        some[wrong].1 = "";
        assert_eq!(CloudEvent::of(&record(&some)), Err(headers[wrong].0));
        some[wrong].0 = "other";
        assert_eq!(CloudEvent::of(&record(&some)), Err(headers[wrong].0));
    }
    assert_eq!(
        CloudEvent::of(&record(&[headers[0], headers[1], headers[2], ("ce_specversion", "0.3")])),
        Err("ce_specversion")
    );
}

#[test]
fn no_two_pairs_of_source_and_id_make_one_key() {
    let key = |source: &'static str, id: &'static str| {
        let headers = [("ce_id", id), ("ce_source", source), ("ce_type", "t"), ("ce_specversion", "1.0")];
        let headers = headers.map(|(name, value)| Header::text(name, value)).to_vec();
        DedupeKey::cloud_event(&Record { headers, ..testing::record() })
    };
    assert_eq!(key("/shop", "7").as_str(), "5:/shop:7");
    assert_ne!(key("a:b", "c"), key("a", "b:c"));
    assert_ne!(key("1:a", "b"), key("1", "a:b"));
}

#[test]
fn what_is_no_cloud_event_has_no_key_and_says_why() {
    let key = DedupeKey::cloud_event(&testing::record());
    assert_eq!(key.as_str(), "");
    assert_eq!(
        key.why_empty(),
        Some("the record is no CloudEvent of version 1.0: look at its header `ce_id`".to_owned())
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
        prop_assert!(binary(bytes).is_err());
    }

    #[test]
    fn near_misses_never_panic(members in r#"[,:"{}\\a-z0-9\[\] ]{0,40}"#) {
        if let Ok(record) = binary(with(&members)) {
            prop_assert!(record.cloud_event().is_some());
        }
    }
}
