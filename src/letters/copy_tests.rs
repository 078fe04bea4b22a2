use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::pipeline::dead_letter::dead_letter_topic;

fn drawer() -> Drawer {
    let handlers = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let letters = dead_letter_topic("orders", "payments");
    Drawer {
        marks: format!("{letters}.status"),
        letters,
        group: "payments".to_owned(),
        format: Some(Format::Oncewise),
        source: Some("orders".to_owned()),
        handler: None,
        to: None,
        targets: BTreeMap::from([
            ("orders".to_owned(), handlers(&["charge"])),
            ("refunds".to_owned(), handlers(&["refund"])),
        ]),
    }
}

fn headers(pairs: &[(&str, &str)]) -> Vec<Header> {
    pairs.iter().map(|(name, value)| Header::text((*name).to_owned(), (*value).to_owned())).collect()
}

fn record(headers: Vec<Header>) -> Record {
    Record {
        topic: "letters".into(),
        partition: 1,
        offset: 7,
        timestamp: Some(1_000),
        key: Some("k".into()),
        value: Some("v".into()),
        headers,
    }
}

fn ours(change: &[(&str, &str)]) -> Record {
    let mut all = vec![
        ("tenant", "north"),
        ("traceparent", "00-1-2-01"),
        ("oncewise-original-topic", "orders"),
        ("oncewise-original-partition", "3"),
        ("oncewise-original-offset", "42"),
        ("oncewise-original-timestamp", "900"),
        ("oncewise-group", "payments"),
        ("oncewise-handler", "charge"),
        ("oncewise-dedupe-key", "order-1"),
        ("oncewise-disposition", "exhausted"),
        ("oncewise-redrive-count", "1"),
        ("oncewise-hop", "4"),
    ];
    all.extend(change);
    record(headers(&all))
}

fn send(drawer: &Drawer, record: &Record) -> Result<Sent, Unfit> {
    drawer.send(&Letter::read(record, drawer.format), record, None, 3)
}

fn copy(drawer: &Drawer, record: &Record) -> NewRecord {
    match send(drawer, record) {
        Ok(Sent::Copy(copy)) => copy,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_copy_is_the_record_and_names_who_failed_and_how_often_it_was_sent() {
    let copy = copy(&drawer(), &ours(&[]));
    let expected = NewRecord {
        topic: "orders.payments.redrive".to_owned(),
        partition: Some(3),
        timestamp: Some(900),
        key: Some("k".into()),
        value: Some("v".into()),
        headers: headers(&[
            ("tenant", "north"),
            ("traceparent", "00-1-2-01"),
            ("oncewise-original-topic", "orders"),
            ("oncewise-original-partition", "3"),
            ("oncewise-original-offset", "42"),
            ("oncewise-original-timestamp", "900"),
            ("oncewise-group", "payments"),
            ("oncewise-handler", "charge"),
            ("oncewise-dedupe-key", "order-1"),
            ("oncewise-redrive-count", "2"),
            ("oncewise-hop", "5"),
        ]),
    };
    assert_eq!(copy, expected);
}

#[test]
fn what_was_redriven_often_enough_is_parked_as_the_letter_it_is() {
    let letter = ours(&[("oncewise-redrive-count", "3")]);
    let Ok(Sent::Parked(parked)) = send(&drawer(), &letter) else { panic!() };
    assert_eq!((parked.topic.as_str(), parked.partition), ("orders.payments.parking", Some(3)));
    assert_eq!(parked.headers, letter.headers);
    let letter = ours(&[("oncewise-redrive-count", "2")]);
    assert!(matches!(send(&drawer(), &letter), Ok(Sent::Copy(_))));
}

#[test]
fn a_letter_that_names_what_is_not_its_own_goes_nowhere() {
    let refused = |change: (&str, &str)| send(&drawer(), &ours(&[change])).unwrap_err().to_string();
    for (change, why) in [
        (("oncewise-original-topic", "refunds"), "names the topic refunds"),
        (("oncewise-original-topic", "secrets"), "names the topic secrets"),
        (("oncewise-group", "orders"), "the group orders"),
        (("oncewise-handler", "refund"), "the handler refund, which orders does not have"),
        (("oncewise-original-offset", "x"), "those of no letter"),
    ] {
        assert!(refused(change).contains(why), "{}", refused(change));
    }
    assert_eq!(send(&drawer(), &record(headers(&[("tenant", "north")]))), Err(Unfit::Unknown));
}

fn foreign(handler: Option<&str>, to: Option<&str>) -> Drawer {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    Drawer { format: None, source: None, handler: owned(handler), to: owned(to), ..drawer() }
}

#[test]
fn foreign_letters_go_only_to_what_the_service_consumes() {
    let watermill =
        record(headers(&[("reason_poisoned", "no"), ("topic_poisoned", "secrets"), ("tenant", "n")]));
    let refused = send(&foreign(None, None), &watermill).unwrap_err();
    assert_eq!(refused, Unfit::OtherTopic("secrets".to_owned()));
    let sent = copy(&foreign(Some("charge"), Some("orders")), &watermill);
    assert_eq!((sent.topic.as_str(), sent.partition), ("orders.payments.redrive", Some(1)));
    let place = (1_i64 << 62) + 7;
    assert_eq!(
        sent.headers,
        headers(&[
            ("tenant", "n"),
            ("oncewise-original-topic", "orders"),
            ("oncewise-original-partition", "1"),
            ("oncewise-original-offset", &place.to_string()),
            ("oncewise-original-timestamp", "1000"),
            ("oncewise-group", "payments"),
            ("oncewise-handler", "charge"),
            ("oncewise-redrive-count", "1"),
            ("oncewise-hop", "1"),
        ])
    );
    let refused = send(&foreign(Some("charge"), Some("refunds")), &watermill).unwrap_err();
    assert_eq!(refused, Unfit::NoHandler("charge".to_owned(), "refunds".to_owned()));
}

#[test]
fn an_edit_replaces_the_value_and_nothing_else() {
    let (drawer, record) = (drawer(), ours(&[]));
    let letter = Letter::read(&record, drawer.format);
    let edit = Edit("mended".into());
    let Ok(Sent::Copy(sent)) = drawer.send(&letter, &record, Some(&edit), 3) else { panic!() };
    assert_eq!(NewRecord { value: Some("v".into()), ..sent.clone() }, copy(&drawer, &record));
    assert_eq!(sent.value.as_deref(), Some(&b"mended"[..]));
    assert_ne!(Edit::digest(b"v"), Edit::digest(b"mended"));
}
