//! What must not be sent is not, and says why.

use serde_json::json;

use super::{Shop, letter};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_goes_nowhere_but_to_the_topic_the_group_and_the_handler_that_it_came_from() {
    let forged = |name: &str, value: &str| letter(0, 1, "x", "busy").header(name, value);
    let shop = Shop::with_letters(1, []).await;
    let ours = |record: crate::support::kafka::Record| {
        let mut record = record;
        for (name, value) in [("topic", shop.topic.name()), ("group", shop.pods.group.as_str())] {
            let name = if name == "topic" { "oncewise-original-topic" } else { "oncewise-group" };
            if !record.headers.iter().any(|(header, _)| header == name.as_bytes()) {
                record = record.header(name, value);
            }
        }
        record
    };
    let letters = [
        forged("oncewise-original-topic", "secrets"),
        forged("oncewise-group", "somebody"),
        forged("oncewise-handler", "nobody"),
        forged("oncewise-original-offset", "-1"),
        crate::support::kafka::Record::new("plain", "no letter at all"),
        letter(0, 2, "fine", "busy"),
    ];
    shop.letters().produce_all(letters.map(ours)).await;
    let (code, done) = shop.done(&["redrive", "--all", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (1, &json!(1)), "{done}");
    let reasons: Vec<&str> = done["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refused| refused["reason"].as_str().unwrap())
        .collect();
    for text in ["the topic secrets", "the group somebody", "the handler nobody", "those of no letter"] {
        assert!(reasons.iter().any(|reason| reason.contains(text)), "{text}: {reasons:?}");
    }
    assert_eq!(super::keys(&shop.ours("redrive").read().await), ["fine"]);
    for name in ["secrets", "secrets.somebody.redrive"] {
        let topic = crate::support::kafka::TestTopic::named(name);
        assert!(topic.partitions().await.is_err(), "{name} was made");
    }
    assert_eq!(shop.status().await, [5, 1, 0, 0]);
    // What cannot be sent can be put aside.
    let (code, done) = shop.done(&["discard", "--all", "--yes"]).await;
    assert_eq!((code, &done["discarded"]), (0, &json!(5)), "{done}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_down_or_is_not_meant_is_not_done() {
    let shop = Shop::with_letters(1, [letter(0, 1, "a", "busy")]).await;
    for (args, text) in [
        (vec!["redrive", "--all"], "--yes"),
        (vec!["redrive", "--filter", "since=tomorrow", "--yes"], "is no condition; allowed are"),
        (vec!["redrive", "--all", "--topic", "refunds", "--yes"], "--topic refunds: service"),
        (
            vec!["redrive", "--all", "--from-topic", "x", "--to", "y", "--handler", "z", "--yes"],
            "--handler z: there is no",
        ),
    ] {
        let (code, said) = shop.run(&args).await;
        assert_eq!(code, 2, "{said}");
        assert!(said["error"].as_str().unwrap().contains(text), "{text}: {said}");
    }
    let mut nothing_said = shop.start(&shop.pods, &["redrive", "--yes"]);
    assert_eq!(nothing_said.wait(super::PATIENCE).await.code(), Some(2), "{}", nothing_said.output());
    let pods = shop.pods.clone().with("TOPICS__CREATE", "false");
    let mut worker = shop.start(&pods, &["redrive", "--all", "--yes"]);
    assert_eq!(worker.wait(super::PATIENCE).await.code(), Some(1), "{}", worker.output());
    assert!(
        worker.output().contains("nothing was done, for it cannot be written to the audit topic"),
        "{}",
        worker.output()
    );
    let (code, done) = shop.done(&["redrive", "--one", "0:7", "--yes"]).await;
    assert_eq!((code, &done["redriven"]), (1, &json!(0)), "there is no such letter: {done}");
    assert!(shop.lies_in(&shop.ours("redrive")).await.is_empty());
    assert_eq!(shop.status().await, [1, 0, 0, 0]);
}
