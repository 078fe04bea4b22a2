//! Operators pause, resume and look at all pods of a service at once.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic, group_lag},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

mod crowd;
mod outages;
mod scopes;

const PATIENCE: Duration = Duration::from_secs(60);

/// A service with a control topic and an audit topic of its own.
pub(super) struct Shop {
    pub(super) topic: TestTopic,
    pub(super) control: TestTopic,
    audit: TestTopic,
    pub(super) pods: Pods,
    _folder: tempfile::TempDir,
}

impl Shop {
    pub(super) async fn new(partitions: i32) -> Shop {
        Shop::on(TestTopic::new(partitions).await)
    }

    pub(super) fn on(topic: TestTopic) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let [audit, control] = ["audit", "control"]
            .map(|kind| TestTopic::at(topic.brokers(), &format!("{}.{kind}", topic.name())));
        let pods = Pods::of(topic.name(), folder.path())
            .with("KAFKA__BROKERS", topic.brokers())
            .with("TOPICS__AUDIT", audit.name())
            .with("TOPICS__CONTROL", control.name());
        Shop { topic, control, audit, pods, _folder: folder }
    }

    pub(super) async fn deliver(&self, ids: impl IntoIterator<Item = u32>) {
        let record = |id| Record::new(format!("key-{id}"), format!(r#"{{"id":"event-{id}"}}"#));
        self.topic.produce_all(ids.into_iter().map(record).collect::<Vec<_>>()).await;
    }

    /// The exit code of a verb, and what it printed.
    pub(super) async fn act(&self, args: &[&str]) -> (Option<i32>, Value) {
        self.act_with(&self.pods, args).await
    }

    async fn act_with(&self, pods: &Pods, args: &[&str]) -> (Option<i32>, Value) {
        let mut worker = pods.command(TEST_WORKER, &[args, &["--json"]].concat());
        let code = worker.wait(PATIENCE).await.code();
        (code, json_of(&worker))
    }

    pub(super) async fn pause(&self, more: &[&str]) -> Value {
        let (code, said) = self.act(&[&["pause", "--service", &self.pods.group], more].concat()).await;
        assert_eq!(code, Some(0), "{said}");
        said
    }

    pub(super) async fn resume(&self, more: &[&str]) -> Value {
        let (code, said) = self.act(&[&["resume", "--service", &self.pods.group], more].concat()).await;
        assert_eq!(code, Some(0), "{said}");
        said
    }

    pub(super) async fn status(&self) -> Value {
        let (code, said) = self.act(&["status", "--service", &self.pods.group]).await;
        assert_eq!(code, Some(0), "{said}");
        said["services"][0].clone()
    }

    /// Waits until so many pods have reported, and have partitions.
    pub(super) async fn has_pods(&self, number: usize) {
        until("pods to report", PATIENCE, async || {
            let status = self.status().await;
            let there = status["pods"].as_array().unwrap().len();
            if there == number { Ok(()) } else { Err(status) }
        })
        .await;
    }

    /// Waits until so many events have taken effect.
    pub(super) async fn effects(&self, number: usize) {
        until("events to take effect", PATIENCE, async || match self.pods.effects().all().len() {
            effects if effects >= number => Ok(()),
            effects => Err(effects),
        })
        .await;
    }

    /// Nothing was lost, and nothing doubled.
    pub(super) fn each_took_effect_once(&self, number: usize) {
        let counts = self.pods.effects().counts();
        assert_eq!(counts.len(), number, "{counts:?}");
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    }
}

pub(super) fn json_of(worker: &Worker) -> Value {
    let said = worker.output();
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    serde_json::from_str(line).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_service_begins_nothing_new_and_goes_on_without_a_rebalance() {
    let shop = Shop::new(2).await;
    let port = free_ports(1);
    let pods = shop.pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}"));
    let mut pod = pods.start(TEST_WORKER);
    shop.deliver(0..100).await;
    shop.effects(100).await;
    // A handler that runs may finish; what waits behind it does not begin.
    let door = shop.pods.door("slow");
    let slow = Record::new("slow", format!(r#"{{"id":"slow"{}}}"#, door.order()));
    let behind = Record::new("slow", r#"{"id":"behind"}"#);
    shop.topic.produce_all([slow, behind]).await;
    until("the slow handler to run", PATIENCE, async || {
        let attempts = shop.pods.attempts().counts();
        if attempts.contains_key("slow") { Ok(()) } else { Err(attempts.len()) }
    })
    .await;
    let ann = shop.pods.clone().variable("USER", "ann");
    let args = ["pause", "--service", &shop.pods.group, "--reason", "the bank is away"];
    let (code, said) = shop.act_with(&ann, &args).await;
    assert_eq!((code, &said["by_all"]), (Some(0), &json!(true)), "{said}");
    assert_eq!(said["pods"].as_array().unwrap().len(), 1, "{said}");
    shop.deliver(100..200).await;
    door.open();
    shop.effects(101).await;
    // However long it takes: the lag is all that is delivered and not handled.
    until("the lag to be seen", PATIENCE, async || {
        let lag: i64 = group_lag(&shop.pods.group).await.iter().filter_map(|partition| partition.lag).sum();
        if lag == 101 { Ok(()) } else { Err(lag) }
    })
    .await;
    assert_eq!(shop.pods.attempts().all().len(), 101, "nothing else has begun");
    let body = until("the pod to be ready", PATIENCE, async || match http::get(port, "/readyz").await {
        Ok((200, body)) => Ok(body),
        other => Err(other),
    })
    .await;
    assert!(body.contains("paused: everything by ann@") && body.contains("the bank is away"), "{body}");
    // What waits unread is as old as it is, and what is paused is named with the topics where it is sent again.
    let (group, topic) = (&shop.pods.group, shop.topic.name());
    let copies = format!("{topic}.{group}.redrive");
    until("the gauges to say so", PATIENCE, async || {
        let (_, metrics) = http::get(port, "/metrics").await.unwrap();
        let is_paused = [topic, &copies].iter().all(|topic| {
            let labels = format!("handler=\"obey\",service=\"{group}\",topic=\"{topic}\"");
            metrics.contains(&format!("oncewise_paused{{{labels}}} 1"))
        });
        let age = |partition: i32| {
            let labels = format!("partition=\"{partition}\",service=\"{group}\",topic=\"{topic}\"");
            let (_, after) =
                metrics.split_once(&format!("oncewise_oldest_unsettled_seconds{{{labels}}} "))?;
            after.lines().next()?.parse::<f64>().ok()
        };
        let is_old = [0, 1].map(|partition| age(partition).is_some_and(|age| age > 0.0));
        if is_paused && is_old == [true; 2] { Ok(()) } else { Err((is_old, metrics)) }
    })
    .await;

    shop.resume(&[]).await;
    shop.effects(202).await;
    shop.pods.commit(&shop.topic, 202, PATIENCE).await;
    shop.each_took_effect_once(202);
    assert!(!pod.output().contains("revoked"), "{}", pod.output());
    let audit = shop.audit.read().await;
    let acts: Vec<Value> =
        audit.iter().map(|record| serde_json::from_str(&record.value_text()).unwrap()).collect();
    let verbs: Vec<&Value> = acts.iter().map(|act| &act["verb"]).collect();
    assert_eq!(verbs, [&json!("pause"), &json!("resume")], "{acts:?}");
    assert_eq!(acts[0]["before"]["reason"], "the bank is away");
    assert!(acts[0]["who"].as_str().unwrap().starts_with("ann@"), "{acts:?}");
    assert_eq!(acts[1]["before"]["paused"].as_array().unwrap().len(), 1, "{acts:?}");
    // Who leaves in order is not waited for.
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0));
    assert_eq!(shop.status().await["pods"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_starts_while_its_service_is_paused_stays_paused() {
    let mut shop = Shop::new(1).await;
    shop.pods = shop.pods.soon_missed();
    shop.deliver(0..10).await;
    let said = shop.pause(&[]).await;
    assert_eq!(said["pods"], json!([]), "nobody is there yet");
    let mut pod = shop.pods.start(TEST_WORKER);
    pod.says("paused: everything by ", PATIENCE).await;
    pod.says(": assigned ", PATIENCE).await;
    shop.has_pods(1).await;
    pod.kill_9();
    // Nor does its successor forget.
    let mut next = shop.pods.start(TEST_WORKER);
    next.says("paused: everything by ", PATIENCE).await;
    next.says(": assigned ", PATIENCE).await;
    assert_eq!(shop.pods.attempts().all(), []);
    // The dead one is still waited for, and named.
    let (code, said) = shop.act(&["resume", "--service", &shop.pods.group, "--wait", "3s"]).await;
    assert_eq!(code, Some(1), "{said}");
    shop.pods.commit(&shop.topic, 10, PATIENCE).await;
    shop.each_took_effect_once(10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pod_says_that_it_has_heard_and_a_silent_one_is_named() {
    let shop = Shop::new(2).await;
    let [_first, second] = [0, 1].map(|_| shop.pods.start(TEST_WORKER));
    shop.has_pods(2).await;
    let said = shop.pause(&[]).await;
    let heeded = |said: &Value| {
        let pods = said["pods"].as_array().unwrap().iter();
        pods.filter(|pod| pod["heeded"] == json!(true)).count()
    };
    assert_eq!((heeded(&said), &said["by_all"]), (2, &json!(true)), "{said}");
    second.freeze();
    let (code, said) = shop.act(&["resume", "--service", &shop.pods.group, "--wait", "10s"]).await;
    assert_eq!((code, heeded(&said), &said["by_all"]), (Some(1), 1, &json!(false)), "{said}");
    let mut worker =
        shop.pods.command(TEST_WORKER, &["pause", "--service", &shop.pods.group, "--wait", "10s"]);
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(1));
    assert!(worker.output().contains("NO ANSWER within 10s"), "{}", worker.output());
    assert!(worker.output().contains("1 of 2 have paused"), "{}", worker.output());
    second.thaw();
    let said = shop.resume(&[]).await;
    assert_eq!(heeded(&said), 2, "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_says_what_kafkas_own_tool_says() {
    let shop = Shop::new(3).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.deliver(0..30).await;
    shop.pods.commit(&shop.topic, 30, PATIENCE).await;
    shop.pause(&[]).await;
    shop.deliver(30..55).await;
    let status = until("the status to be that of Kafka", PATIENCE, async || {
        let (theirs, ours) = (group_lag(&shop.pods.group).await, shop.status().await);
        let theirs: Vec<Value> = theirs
            .iter()
            .map(|it| {
                json!({ "topic": it.topic, "partition": it.partition, "committed": it.committed,
                        "end": it.end, "lag": it.lag })
            })
            .collect();
        let is_whole = ours["lag"] == json!(25) && theirs.len() == 3;
        let pod = &ours["pods"][0];
        let has_all = pod["partitions"][shop.topic.name()] == json!([0, 1, 2]);
        let is_well = pod["presence"] == "there" && pod["trouble"] == json!([]);
        let is_equal = is_whole && has_all && ours["partitions"] == json!(theirs);
        if is_equal && is_well { Ok(ours) } else { Err((theirs, ours)) }
    })
    .await;
    assert_eq!(status["paused"][0]["service"], json!(shop.pods.group), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_to_be_tried_later_is_told_beside_the_lag() {
    let mut shop = Shop::new(1).await;
    shop.pods = shop.pods.clone().with("RETRY__LATER", "10m").with("RETRY__BUDGET", "1h");
    let _pod = shop.pods.start(TEST_WORKER);
    shop.topic.produce(Record::new("a", r#"{"id":"a","fail":1}"#)).await;
    shop.pods.until_committed(&shop.topic, 0, 1).await;
    let waiting = format!("{}.{}.retry.10m", shop.topic.name(), shop.pods.group);
    until("what waits to be told", PATIENCE, async || {
        let status = shop.status().await;
        let lags: Vec<_> = status["partitions"].as_array().unwrap().iter().collect();
        let waits = |lag: &&&Value| lag["topic"] == json!(waiting) && lag["lag"] == 1;
        let told = (&status["lag"], &status["later"], lags.iter().filter(waits).count());
        if told == (&json!(0), &json!(1), 1) { Ok(()) } else { Err(status.clone()) }
    })
    .await;
}
