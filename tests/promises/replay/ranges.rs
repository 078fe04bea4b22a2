//! What a range is: its ends, its partitions, and the answers to those that cannot be.

use serde_json::json;

use super::{Past, counts};
use crate::support::kafka::{Record, TestTopic};

async fn refused(past: &Past, args: &[&str], texts: &[&str]) {
    past.does("replay", args).await.assert_says(2, texts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_replayed_is_said_at_once_and_with_what_is_allowed() {
    let past = Past::of(2).await;
    past.events(10).await;
    let (at, later) = (past.at(0), past.at(1));
    let range = ["--from", "yesterday", "--to", "2026-01-31"];
    let times = ["--from `yesterday` is neither", "--to `2026-01-31` is neither", "RFC 3339 with a zone"];
    refused(&past, &range, &times).await;
    let reversed = format!("--from {later} is after --to {at}: the range is reversed");
    refused(&past, &["--from", &later, "--to", &at, "--rate", "0"], &[&reversed, "--rate 0 would never end"])
        .await;
    refused(&past, &["--from", &at, "--to", &at], &["the range is empty"]).await;
    let consumes = format!("it consumes {}", past.topic.name());
    refused(&past, &["--from", "0", "--to", "9", "--topic", "orders"], &["--topic orders: ", &consumes])
        .await;
    let there = format!("topic {} has no partition 2, 7; it has 0 to 1", past.topic.name());
    refused(&past, &["--from", "0", "--to", "9", "--dry-run", "--partitions", "1-2,7"], &[&there]).await;
    refused(&past, &["--from", "0", "--to", "9", "--partitions", "2-1"], &["--partitions `2-1`"]).await;
    refused(
        &past,
        &["--from", "0", "--to", "9", "--service", "x"],
        &["--service x: there is no such service"],
    )
    .await;
    refused(&past, &["--from", "0", "--to", "9"], &["add --yes to replay: there is no terminal"]).await;
    refused(
        &past,
        &["--from", "0", "--to", "9", "--mode", "force", "--yes"],
        &["name that run with --epoch"],
    )
    .await;
    refused(&past, &["--from", "0", "--to", "9", "--epoch", "e"], &["belong to --mode force"]).await;
    refused(&past, &["--resume", "x"], &["--resume x: there is no such replay; there is none to resume"])
        .await;
    refused(&past, &["--resume", "x", "--from", "0"], &["cannot be used with"]).await;

    past.topic.delete().await;
    let gone = format!("topic {} does not exist", past.topic.name());
    refused(&past, &["--from", &at, "--to", &later, "--dry-run"], &[&gone]).await;
    let error = past.replay(0, 1, &[]).await;
    assert_eq!((error.code, &error.json()["error"]), (Some(2), &json!(gone)), "{}", error.said);
    assert_eq!(past.effects(), [].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_without_records_is_settled_and_said_to_be_empty() {
    let past = Past::of(2).await;
    past.events(10).await;
    let (from, to) = (past.at(20), past.at(30));
    let ran = past.does("replay", &["--from", &from, "--to", &to, "--yes"]).await;
    ran.assert_says(0, &["There is nothing in this range."]);
    assert_eq!(past.replay(-20, -10, &[]).await.result(), (Some(0), json!({ "outside": 10 })));
    assert_eq!(past.effects(), [].into());
}

/// A clock that goes back leaves older records behind younger ones; they belong to their own time all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_belong_to_their_own_time_wherever_they_lie() {
    let past = Past::of(1).await;
    let minutes = [0, 10, 30, 12, 31, 14, 40];
    let event = |(n, minute): (usize, &i64)| past.event(&n.to_string(), "", 0, *minute);
    past.topic.produce_all(minutes.iter().enumerate().map(event)).await;
    let in_order = past.replay(10, 20, &["--in-order", "--dry-run"]).await;
    assert_eq!(in_order.result(), (Some(0), json!({ "ran": 1 })), "it trusts that times only grow");
    assert_eq!(past.replay(10, 20, &[]).await.result(), (Some(0), json!({ "ran": 3, "outside": 3 })));
    let ids: Vec<String> = past.pods.effects().counts().into_keys().collect();
    assert_eq!(ids, ["1", "3", "5"]);
}

/// Kafka keeps a record without a time as it is. Nobody can tell which range of time it belongs to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_a_time_are_in_no_range_of_time() {
    let past = Past::on(
        TestTopic::with_config(1, &[("retention.ms", "-1"), ("message.timestamp.type", "CreateTime")]).await,
    );
    past.topic.produce(past.event("a", "", 0, 1)).await;
    past.topic.produce_timeless(r#"{"id":"timeless"}"#).await;
    past.topic.produce(past.event("b", "", 0, 30)).await;
    let expected = json!({ "ran": 1, "outside": 1, "timeless": 1 });
    assert_eq!(past.replay(0, 10, &["--dry-run"]).await.result(), (Some(0), expected.clone()));
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), expected));
    assert_eq!(past.pods.effects().count("timeless"), 0);
    // A range of offsets has all records that lie there.
    let range = ["--from", "0", "--to", "3", "--yes", "--json"];
    assert_eq!(past.does("replay", &range).await.result(), (Some(0), json!({ "ran": 2, "already_done": 1 })));
    assert_eq!(past.effects(), [(1, 3)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_and_partitions_choose_exactly_what_they_say() {
    let past = Past::of(3).await;
    past.events(30).await;
    let range = ["--from", "2", "--to", "5", "--partitions", "0,2", "--yes", "--json"];
    assert_eq!(past.does("replay", &range).await.result(), (Some(0), json!({ "ran": 6 })));
    let ids: Vec<i64> = past.pods.effects().counts().into_keys().map(|id| id.parse().unwrap()).collect();
    // Event n lies in partition n % 3 at offset n / 3.
    assert!(ids.iter().all(|n| n % 3 != 1 && (2..5).contains(&(n / 3))), "{ids:?}");
    let beyond = ["--from", "8", "--to", "1000", "--partitions", "1", "--yes", "--json"];
    assert_eq!(past.does("replay", &beyond).await.result(), (Some(0), json!({ "ran": 2 })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_from_the_log_is_said_to_be_gone() {
    let past = Past::of(2).await;
    past.events(20).await;
    past.topic.delete_records(0, 5).await;
    let name = past.topic.name();
    let begins = format!("warning: partition 0 of {name} begins at offset 5: what was before is deleted");
    let (from, to) = (past.at(0), past.at(12));
    for range in [["--from", &from, "--to", &to], ["--from", "0", "--to", "6"]] {
        let ran = past.does("replay", &[&range[..], &["--dry-run", "--json"]].concat()).await;
        ran.assert_says(0, &[&begins]);
        assert_eq!(counts(&ran.json())["ran"], 7, "{}", ran.said);
        let warned = ran.json()["warnings"][0].as_str().unwrap().to_owned();
        assert!(begins.contains(&warned[..40]), "{warned}");
    }
    // All records of 10 minutes and later are there: nothing is amiss with such a range.
    let whole = past.replay(11, 15, &["--dry-run"]).await;
    assert!(!whole.said.contains("warning:"), "{}", whole.said);

    past.topic.delete_records(1, 8).await;
    let gone = format!(
        "nothing of the range is left in {name}: its log begins later, partition 0 at offset 5, partition 1 at offset 8"
    );
    for (from, to) in [(past.at(0), past.at(8)), ("0".to_owned(), "4".to_owned())] {
        refused(&past, &["--from", &from, "--to", &to, "--dry-run"], &[&gone]).await;
    }
}

/// Undecodable records and reused ids have their letters from the live group. A replay of what that group has not
/// reached writes them, and the live group then finds the events dead or done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn letters_are_written_once_although_a_replay_meets_the_records_again() {
    let past = Past::of(1).await;
    let prints = |print: &str| format!(r#","fingerprint":"{print}""#);
    past.topic
        .produce_all([
            past.event("a", &prints("1"), 0, 0),
            past.event("a", &prints("2"), 0, 1),
            Record::new("b", "not JSON").to(0).stamped(past.began),
            past.event("c", r#","reject":true"#, 0, 2),
        ])
        .await;
    past.is_handled(4).await;
    let letters = past.pods.letters(&past.topic);
    assert_eq!(letters.read().await.len(), 3);
    let expected = json!({ "already_done": 1, "already_dead": 3 });
    assert_eq!(past.replay(0, 5, &[]).await.result(), (Some(0), expected));
    assert_eq!(letters.read().await.len(), 3);

    let again = past.topic.produce(Record::new("d", "not JSON either").to(0).stamped(past.began)).await;
    assert_eq!(again, (0, 4));
    assert_eq!(past.replay(0, 5, &["--dry-run"]).await.result().1["undecodable"], 1);
    assert_eq!(past.replay(0, 5, &[]).await.result().1["dead_lettered"], 1);
    assert_eq!(letters.read().await.len(), 4);
}
