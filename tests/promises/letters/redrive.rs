//! A redriven letter is the record as it was, for its own handler, once; and what may not be sent is not.

use std::collections::BTreeMap;

use serde_json::json;

use super::{Shop, keys, letter};
use crate::support::kafka::{Header, ReadRecord, Record};

fn header(name: &str, value: &str) -> Header {
    (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_the_record_byte_for_byte_in_its_own_partition() {
    let shop = Shop::with_letters(3, [letter(2, 42, "a", "busy").header("oncewise-hop", "4")]).await;
    let (code, done) = shop.done(&["redrive", "--one", "2:0", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    let copies = shop.ours("redrive").read().await;
    let ours = [
        ("original-topic", shop.topic.name()),
        ("original-partition", "2"),
        ("original-offset", "42"),
        ("original-timestamp", "1700000000042"),
        ("group", &shop.pods.group),
        ("handler", "obey"),
        ("dedupe-key", "a"),
        ("redrive-count", "1"),
        ("hop", "5"),
    ];
    let theirs = [header("tenant", "north"), (b"tenant".to_vec(), None)];
    let ours = ours.iter().map(|(name, value)| header(&format!("oncewise-{name}"), value));
    let expected = ReadRecord {
        partition: 2,
        offset: 0,
        key: Some(b"a".to_vec()),
        value: Some(br#"{"id":"a"}"#.to_vec()),
        headers: theirs.into_iter().chain(ours).collect(),
        timestamp: Some(1_700_000_000_042),
    };
    assert_eq!(copies, [expected]);
    assert_eq!(shop.ours("redrive").partitions().await, Ok(3));
    assert_eq!(shop.letters().read().await.len(), 1, "nothing is taken out");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_letters_that_are_meant_are_sent_and_each_of_them_once() {
    let letters = (0..90).map(|number| {
        let error = if number % 3 == 0 { format!("order {number}: no wallet") } else { "busy".to_owned() };
        letter(number % 2, number.into(), &format!("e{number:02}"), &error)
    });
    let shop = Shop::with_letters(2, letters).await;
    let meant = ["redrive", "--filter", "error=order # no wallet", "--yes"];
    let (code, done) = shop.done(&["redrive", "--filter", "error~no wallet", "--dry-run"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(30)), "{done}");
    assert!(shop.lies_in(&shop.ours("redrive")).await.is_empty(), "a dry run touches nothing");
    assert_eq!((shop.status().await, shop.audited().await.len()), ([90, 0, 0, 0], 0));
    let (_, done) = shop.done(&meant).await;
    assert_eq!(done["redriven"], 0, "the error has a colon: {done}");
    let meant = ["redrive", "--filter", "error=order #: no wallet", "--yes", "--max", "20"];
    for (expected, before) in [(20, 0), (10, 20), (0, 30)] {
        let (code, done) = shop.done(&meant).await;
        assert_eq!((code, &done["redriven"]), (0, &json!(expected)), "{done}");
        assert!(done["before"].as_u64().unwrap() <= before, "{done}");
    }
    let expected: Vec<String> = (0..90).step_by(3).map(|number| format!("e{number:02}")).collect();
    assert_eq!(keys(&shop.ours("redrive").read().await), expected);
    assert_eq!(shop.status().await, [60, 30, 0, 0]);
    let (code, done) = shop.done(&["discard", "--all", "--yes"]).await;
    assert_eq!((code, &done["discarded"]), (0, &json!(60)), "{done}");
    assert_eq!(shop.status().await, [0, 30, 60, 0]);
    // Who names a discarded letter means it.
    let (code, done) = shop.done(&["redrive", "--one", "1:0", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    assert_eq!(shop.status().await, [0, 31, 59, 0]);

    let mut acts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in shop.audited().await {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        acts.entry(text("id")).or_default().push(format!("{} {}", text("verb"), text("outcome")));
    }
    assert_eq!(acts.len(), 6, "{acts:?}");
    let verbs = ["redrive", "discard"]
        .map(|verb| ["intended", "done"].map(|end| format!("dead-letters {verb} {end}")));
    assert!(acts.values().all(|entries| verbs.iter().any(|verb| verb == &entries[..])), "{acts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_redriven_too_often_is_parked_and_can_be_sent_from_there() {
    let letters = [("a", "2"), ("b", "3"), ("c", "9")]
        .map(|(id, redrives)| letter(0, 1, id, "busy").header("oncewise-redrive-count", redrives));
    let shop = Shop::with_letters(1, letters).await;
    let (code, done) = shop.done(&["redrive", "--all", "--yes"]).await;
    assert_eq!((code, &done["redriven"], &done["parked"]), (0, &json!(1), &json!(2)), "{done}");
    assert_eq!(keys(&shop.ours("redrive").read().await), ["a"]);
    let parked = shop.ours("parking").read().await;
    let letters = shop.letters().read().await;
    assert_eq!(keys(&parked), ["b", "c"]);
    for (parked, letter) in parked.iter().zip(&letters[1..]) {
        assert_eq!((&parked.headers, &parked.value), (&letter.headers, &letter.value), "the letter as it is");
    }
    assert_eq!(shop.status().await, [0, 1, 0, 2]);
    let parking = shop.ours("parking");
    let args = ["redrive", "--from-topic", parking.name(), "--filter", "key=b", "--cap", "4", "--yes"];
    let (code, done) = shop.done(&args).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    let copies = shop.ours("redrive").read().await;
    assert_eq!(copies[1].header("oncewise-redrive-count").as_deref(), Some("4"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edited_value_is_sent_and_both_digests_are_written_down() {
    let shop = Shop::with_letters(1, [letter(0, 1, "a", "busy"), letter(0, 2, "b", "busy")]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), r#"{"id":"a","skip":true}"#).unwrap();
    let path = file.path().to_str().unwrap();
    let (code, said) =
        shop.run(&["redrive", "--one", "0:0", "--one", "0:1", "--with-value", path, "--yes"]).await;
    assert_eq!(code, 2, "one value is for one letter: {said}");
    let (code, done) = shop.done(&["redrive", "--one", "0:0", "--with-value", path, "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (0, &json!(1)), "{done}");
    let copies = shop.ours("redrive").read().await;
    assert_eq!(copies[0].value_text(), r#"{"id":"a","skip":true}"#);
    let (_, shown) = shop.run(&["show", "--one", "0:0"]).await;
    let audited = shop.audited().await;
    let edited = &audited[0]["before"]["edited"];
    assert_eq!(edited["after"], shown["mark"]["edited"], "{shown}");
    let digests = ["before", "after"].map(|which| edited[which].as_str().unwrap());
    assert!(digests[0] != digests[1] && digests.iter().all(|digest| digest.len() == 64), "{edited}");
    assert!(!audited.iter().any(|entry| entry.to_string().contains("skip")), "never the value itself");
}

/// The letter of a record that no letter could hold has no value, and the record may still be where it came from.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_without_its_value_is_sent_from_where_the_record_lies() {
    let shop = Shop::with_letters(1, []).await;
    let stamped = |offset: i64| 1_700_000_000_000 + offset;
    let there = Record::new("a", "the whole value").stamped(stamped(0)).header("tenant", "south");
    shop.topic.produce_all([there, Record::new("other", "another").stamped(stamped(1))]).await;
    let without = |offset: i64, id: &str| {
        let letter = letter(0, offset, id, "too large").header("oncewise-disposition", "too-large");
        let letter = letter
            .header("oncewise-original-topic", shop.topic.name())
            .header("oncewise-group", &shop.pods.group);
        Record { value: None, ..letter }
    };
    shop.letters().produce_all([without(0, "a"), without(1, "b"), without(9, "c")]).await;
    let (code, done) = shop.done(&["redrive", "--all", "--yes"]).await;
    assert_eq!((code, &done["redriven"], &done["refused"][0]["count"]), (1, &json!(1), &json!(2)), "{done}");
    assert!(done["refused"][0]["reason"].as_str().unwrap().contains("not in its topic any more"), "{done}");
    let copies = shop.ours("redrive").read().await;
    assert_eq!((copies.len(), copies[0].value_text().as_str()), (1, "the whole value"));
    assert_eq!(copies[0].header("tenant").as_deref(), Some("south"));
    assert_eq!(shop.status().await, [2, 1, 0, 0], "what was refused stays open");
}
