//! Records of a transaction that has not ended are not there yet, nor is what lies behind them.

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer},
};
use serde_json::json;

use super::{MINUTE, Past};

const LONG: Duration = Duration::from_secs(60);

impl Past {
    /// Two records, `t0` and `t1`, in a transaction that is not ended yet.
    async fn open_transaction(&self) -> BaseProducer {
        let (brokers, name) = (self.topic.brokers().to_owned(), self.topic.name().to_owned());
        let time = self.began + 4 * MINUTE;
        let begun = tokio::task::spawn_blocking(move || {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", &brokers).set("transactional.id", format!("tx-{name}"));
            // Kafka is not to abort it while it is looked at.
            config.set("transaction.timeout.ms", "600000");
            let producer: BaseProducer = config.create().unwrap();
            producer.init_transactions(LONG).unwrap();
            producer.begin_transaction().unwrap();
            for id in ["t0", "t1"] {
                let value = format!(r#"{{"id":"{id}"}}"#);
                producer.send(BaseRecord::to(&name).key(id).payload(&value).timestamp(time)).unwrap();
            }
            producer.flush(LONG).unwrap();
            producer
        });
        begun.await.unwrap()
    }
}

async fn committed(producer: BaseProducer) {
    tokio::task::spawn_blocking(move || producer.commit_transaction(LONG).unwrap()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_behind_an_open_transaction_is_not_settled_and_runs_when_it_has_ended() {
    let past = Past::of(1).await;
    past.events(3).await;
    let producer = past.open_transaction().await;
    past.topic.produce(past.event("after", "", 0, 5)).await;
    let looked = past.replay(0, 10, &["--dry-run"]).await;
    let open = "3 offsets of partition 0";
    looked.assert_says(0, &[open, "behind a transaction that has not ended"]);
    assert_eq!(past.replay(0, 10, &["--mode", "verify"]).await.code, Some(1));

    let ran = past.replay(0, 10, &[]).await;
    assert_eq!(ran.result(), (Some(1), json!({ "ran": 3 })));
    ran.assert_says(1, &[open, "behind a transaction that has not ended"]);
    assert_eq!(past.effects(), [(1, 3)].into());
    let id = ran.json()["replay"]["id"].as_str().unwrap().to_owned();
    let resume = ["--resume", &id, "--yes", "--json"];
    assert_eq!(past.does("replay", &resume).await.code, Some(1), "it is open still");

    committed(producer).await;
    let resumed = past.does("replay", &resume).await;
    assert_eq!(resumed.result(), (Some(0), json!({ "ran": 6 })));
    assert_eq!(past.effects(), [(1, 6)].into());
}

/// Its marker takes the place of a record, and aborted ones take theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_ends_with_an_aborted_transaction_comes_to_its_end() {
    let past = Past::of(1).await;
    past.events(3).await;
    let producer = past.open_transaction().await;
    tokio::task::spawn_blocking(move || producer.abort_transaction(LONG).unwrap()).await.unwrap();
    let ran = past.replay(0, 10, &[]).await;
    assert_eq!(ran.result(), (Some(0), json!({ "ran": 3 })));
}
