//! What cannot be decoded has a letter when a replay is done with it.

use serde_json::json;

use super::{MINUTE, Past};
use crate::support::kafka::{Record, delete_group, move_offset};

impl Past {
    /// A record that nobody can decode, so many minutes after the beginning.
    async fn broken(&self, minutes: i64) {
        let broken = Record::new("x", "{no json").to(0).stamped(self.began + minutes * MINUTE);
        self.topic.produce(broken).await;
    }

    async fn letters(&self) -> usize {
        self.pods.letters(&self.topic).read().await.len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decoded_and_lies_before_the_beginning_of_the_group_gets_its_letter() {
    let past = Past::of(1).await.with("WORKER__START_FROM", "latest");
    past.broken(1).await;
    past.is_handled(1).await;
    past.broken(2).await;
    past.is_handled(2).await;
    assert_eq!(past.letters().await, 1, "of the second one");
    let looked = past.replay(0, 10, &["--dry-run"]).await;
    assert_eq!(looked.result(), (Some(0), json!({ "undecodable": 1, "already_dead": 1 })));
    let ran = past.replay(0, 10, &[]).await;
    assert_eq!(ran.result(), (Some(0), json!({ "dead_lettered": 1, "already_dead": 1 })));
    assert_eq!(past.letters().await, 2);
}

/// A person lets the group go on behind what it has lost: what lies in between, nobody has met.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decoded_and_was_left_out_on_purpose_gets_its_letter() {
    let past = Past::of(1).await;
    past.broken(1).await;
    past.is_handled(1).await;
    past.broken(2).await;
    delete_group(&past.pods.group, &past.topic).await;
    let accepted = format!("{}:0=latest", past.topic.name());
    assert_eq!(past.does("check", &["--accept", &accepted]).await.code, Some(0));
    past.is_handled(2).await;
    assert_eq!(past.letters().await, 1, "the second one was not met");
    // Of the first one nobody is certain any more, and two letters do no harm.
    let ran = past.replay(0, 10, &[]).await;
    assert_eq!(ran.result(), (Some(0), json!({ "dead_lettered": 2 })));
    assert_eq!(past.letters().await, 3);
}

/// Whoever moves the group forward with Kafka's own tools leaves no trace, so nothing more can be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_decoded_and_was_met_is_not_written_twice() {
    let past = Past::of(1).await;
    past.broken(1).await;
    past.is_handled(1).await;
    move_offset(&past.pods.group, &past.topic, 0, 0).await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "dead_lettered": 1 })));
    past.is_handled(1).await;
    assert_eq!(past.replay(0, 10, &[]).await.result(), (Some(0), json!({ "already_dead": 1 })));
}
