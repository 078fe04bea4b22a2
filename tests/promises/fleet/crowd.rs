//! A fleet of fifty pods. What they say stands in the topic as if they had; there is one process.

use serde_json::{Value, json};

use super::{PATIENCE, Shop, json_of};
use crate::{
    TEST_WORKER,
    support::{kafka::Record, process::Worker, wait::until},
};

const PODS: usize = 50;

/// So many pods say that they do as everything below this offset says.
async fn report(shop: &Shop, pods: usize, read_to: i64) {
    let group = &shop.pods.group;
    let service = json!({ "service": group, "group": group, "in_flight": 3, "oldest_seconds": 1.5,
        "partitions": { shop.topic.name(): [0] } });
    let report = json!({ "v": 1, "host": "h", "version": "0.1.0", "started_at": "2026-01-31T08:00:00Z",
        "read_to": read_to, "services": [service] });
    let record = |pod| Record::new(format!("pod/pod-{pod:02}"), report.to_string());
    shop.control.produce_all((0..pods).map(record)).await;
}

/// Where the latest word about the whole service stands, once it is another one than before.
async fn word(shop: &Shop, before: i64) -> i64 {
    let key = format!("pause/{}", shop.pods.group);
    until("the word to be said", PATIENCE, async || {
        let said = shop.control.read().await;
        let word = said.iter().rfind(|record| record.key_text() == key).map(|record| record.offset);
        word.filter(|offset| *offset > before).ok_or(said.len())
    })
    .await
}

async fn ended(worker: &mut Worker) -> (Option<i32>, Value) {
    let code = worker.wait(PATIENCE).await.code();
    (code, json_of(worker))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_pods_are_waited_for_and_the_one_that_is_silent_is_named() {
    let shop = Shop::new(1).await;
    shop.control
        .create(1, &[("cleanup.policy", "compact"), ("message.timestamp.type", "LogAppendTime")])
        .await;
    report(&shop, PODS, 0).await;
    let status = shop.status().await;
    assert_eq!(status["pods"].as_array().map(Vec::len), Some(PODS), "{status}");
    let act = |verb: &str, wait: &str| {
        let args = [verb, "--service", &shop.pods.group, "--wait", wait, "--json"];
        shop.pods.command(TEST_WORKER, &args)
    };
    let mut pause = act("pause", "60s");
    let said = word(&shop, -1).await;
    // All but one, and that one last: nobody is told before that all have heard.
    report(&shop, PODS - 1, said + 1).await;
    assert_eq!(pause.ended(), None, "{}", pause.output());
    report(&shop, PODS, said + 1).await;
    let (code, paused) = ended(&mut pause).await;
    assert_eq!((code, &paused["by_all"]), (Some(0), &json!(true)), "{paused}");
    assert_eq!(paused["pods"].as_array().map(Vec::len), Some(PODS), "{paused}");

    let mut resume = act("resume", "10s");
    let said = word(&shop, said).await;
    report(&shop, PODS - 1, said + 1).await;
    let (code, resumed) = ended(&mut resume).await;
    assert_eq!((code, &resumed["by_all"]), (Some(1), &json!(false)), "{resumed}");
    let silent: Vec<&Value> =
        resumed["pods"].as_array().unwrap().iter().filter(|pod| pod["heeded"] == false).collect();
    assert_eq!(silent.len(), 1, "{resumed}");
    assert_eq!(silent[0]["pod"], format!("pod-{}", PODS - 1));
}
