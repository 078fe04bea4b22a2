//! Many letters of few causes are few lines, and each letter can be looked at.

use serde_json::json;

use super::{Shop, letter};
use crate::{TEST_WORKER, support::kafka::Record};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_letters_of_three_causes_are_three_lines() {
    let shop = Shop::new(3).await;
    let events = (0..300).map(|number| {
        let value = match number % 3 {
            0 => format!(r#"{{"id":"e{number}","reject":true}}"#),
            1 => format!(r#"{{"id":"e{number}","fail":9}}"#),
            _ => format!("{{{number}"),
        };
        Record::new(format!("k{number}"), value)
    });
    shop.topic.produce_all(events.collect::<Vec<_>>()).await;
    let pods = shop.pods.clone().with("RETRY__MAX_ATTEMPTS", "1");
    let _pod = pods.start(TEST_WORKER);
    pods.commit(&shop.topic, 300, super::PATIENCE).await;

    let (code, said) = shop.run(&["groups"]).await;
    assert_eq!(code, 0, "{said}");
    let groups = said["groups"].as_array().unwrap();
    let mut lines: Vec<_> =
        groups.iter().map(|group| (group["disposition"].as_str().unwrap(), &group["count"])).collect();
    lines.sort_by_key(|(disposition, _)| *disposition);
    assert_eq!(
        lines,
        [("exhausted", &json!(100)), ("rejected", &json!(100)), ("undecodable", &json!(100))],
        "{said}"
    );
    for group in groups {
        assert_eq!(group["handler"], "obey");
        assert!(group["first"].as_str() <= group["last"].as_str(), "{group}");
        // Its sample is one of it, and its name finds exactly its letters.
        let sample = group["sample"].as_str().unwrap();
        let (code, shown) = shop.run(&["show", "--one", sample]).await;
        assert_eq!((code, &shown["disposition"]), (0, &group["disposition"]), "{shown}");
        assert!(shown["value"].is_null(), "the payload stays hidden: {shown}");
        let filter = format!("group={}", group["id"].as_str().unwrap());
        let (_, listed) = shop.run(&["list", "--filter", &filter, "--max", "1000"]).await;
        assert_eq!(listed["letters"].as_array().unwrap().len(), 100, "{listed}");
    }
    assert_eq!(shop.status().await, [300, 0, 0, 0]);
    assert!(shop.audited().await.is_empty(), "who only looks leaves nothing behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_listed_by_what_is_asked_for_and_shown_with_every_header() {
    let letters = [
        letter(0, 10, "a", "order 17 timed out"),
        letter(0, 11, "b", "order 18 timed out"),
        letter(1, 12, "c", "no wallet").header("oncewise-disposition", "rejected"),
    ];
    let shop = Shop::with_letters(2, letters).await;
    for (filter, expected) in [
        ("error~TIMED", vec!["0:0", "0:1"]),
        ("error=order # timed out", vec!["0:0", "0:1"]),
        ("key=b", vec!["0:1"]),
        ("disposition=rejected", vec!["1:0"]),
        ("partition=1", vec!["1:0"]),
        ("until=2026-01-31T08:00:00Z", vec![]),
        ("since=2026-01-31T08:00:00Z", vec!["0:0", "0:1", "1:0"]),
    ] {
        let (code, said) = shop.run(&["list", "--filter", filter]).await;
        let mut places: Vec<_> = said["letters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|letter| letter["place"].as_str().unwrap())
            .collect();
        places.sort_unstable();
        assert_eq!((code, places), (0, expected), "{filter}");
    }
    let (code, shown) = shop.run(&["show", "--one", "0:1", "--payload"]).await;
    assert_eq!((code, &shown["key"], &shown["value"]), (0, &json!("b"), &json!(r#"{"id":"b"}"#)), "{shown}");
    assert_eq!((&shown["offset"], &shown["state"]), (&json!(11), &json!("open")));
    assert_eq!(
        shown["headers"].as_array().unwrap()[..2],
        [json!(["tenant", "north"]), json!(["tenant", null])]
    );
    let (code, said) = shop.run(&["list", "--filter", "colour=red", "--filter", "since=yesterday"]).await;
    let said = said["error"].as_str().unwrap();
    assert_eq!((code, said.lines().count()), (2, 2), "everything that is wrong at once: {said}");
}
