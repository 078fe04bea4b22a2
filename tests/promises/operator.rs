//! What an operator sees of one event, may have forgotten, and leaves behind in the audit topic.

use std::time::Duration;

use oncewise::store::StoreKey;
use serde_json::{Value, json};

use crate::{
    TEST_WORKER,
    support::{
        free_ports,
        kafka::{Record, TestTopic},
        kafka_server::KafkaServer,
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A service with an audit topic of its own.
struct Shop {
    topic: TestTopic,
    audit: TestTopic,
    pods: Pods,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn new() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let topic = TestTopic::new(1).await;
        let audit = TestTopic::named(&format!("{}.audit", topic.name()));
        let pods = Pods::of(topic.name(), folder.path()).soon_missed().with("TOPICS__AUDIT", audit.name());
        Shop { topic, audit, pods, _folder: folder }
    }

    async fn deliver(&self, events: &[(&str, &str)]) {
        let records =
            events.iter().map(|(id, orders)| Record::new(id, format!(r#"{{"id":"{id}"{orders}}}"#)));
        self.topic.produce_all(records.collect::<Vec<_>>()).await;
    }

    fn start(&self, pods: &Pods, verb: &str, key: &str, flags: &[&str]) -> Worker {
        let names = ["dedupe", verb, "--service", &self.pods.group, "--handler", "obey", key, "--json"];
        pods.command(TEST_WORKER, &[&names, flags].concat())
    }

    async fn show(&self, key: &str) -> Value {
        let mut worker = self.start(&self.pods, "show", key, &[]);
        assert_eq!(worker.wait(PATIENCE).await.code(), Some(0), "{}", worker.output());
        json_of(&worker)
    }

    /// Waits until the event is shown in this state.
    async fn is(&self, key: &str, state: &str) -> Value {
        until(&format!("{key} to be {state}"), PATIENCE, async || {
            let shown = self.show(key).await;
            if shown["state"] == state { Ok(shown) } else { Err(shown) }
        })
        .await
    }

    /// The exit code of `forget`, and what it printed.
    async fn forget(&self, pods: &Pods, key: &str) -> (Option<i32>, Value) {
        let mut worker = self.start(pods, "forget", key, &["--yes"]);
        (worker.wait(PATIENCE).await.code(), json_of(&worker))
    }

    async fn audited(&self) -> Vec<Value> {
        let records = self.audit.read().await;
        records.iter().map(|record| serde_json::from_str(&record.value_text()).unwrap()).collect()
    }
}

fn json_of(worker: &Worker) -> Value {
    let said = worker.output();
    let line = said.lines().find(|line| line.starts_with('{')).unwrap_or_else(|| panic!("no JSON: {said}"));
    serde_json::from_str(line).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_is_shown_as_it_stands() {
    let shop = Shop::new().await;
    shop.deliver(&[
        ("done", ""),
        ("dead", r#","reject":true"#),
        ("waiting", r#","fail":1,"retry_after_ms":600000"#),
        ("claimed", r#","sleep_ms":600000,"fingerprint":"f""#),
    ])
    .await;
    let mut pod = shop.pods.start(TEST_WORKER);
    let done = shop.is("done", "done").await;
    let key = StoreKey::new(&shop.pods.prefix(), &shop.pods.group, "obey", "done");
    assert_eq!((&done["redis_key"], &done["attempts"]), (&json!(key.to_string()), &json!(1)));
    assert_eq!(
        (&done["owner"], &done["until"], &done["fingerprint"]),
        (&json!(null), &json!(null), &json!(false))
    );
    assert!(done["forgotten_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{done}");
    shop.is("dead", "dead").await;
    let waiting = shop.is("waiting", "waiting").await;
    assert_eq!((&waiting["attempts"], &waiting["takeovers"]), (&json!(1), &json!(0)));
    assert!(waiting["first_failure_at"].is_string() && waiting["until"].is_string(), "{waiting}");
    let claimed = shop.is("claimed", "claimed").await;
    assert!(claimed["owner"].as_str().unwrap().ends_with(".0.3"), "its partition and offset: {claimed}");
    assert_eq!(claimed["fingerprint"], true);
    assert_eq!(shop.show("never").await["state"], "unknown");
    // Only a lease that nobody renews runs out.
    pod.kill_9();
    let abandoned = shop.is("claimed", "abandoned").await;
    assert_eq!((&abandoned["owner"], &abandoned["until"]), (&claimed["owner"], &json!(null)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_event_takes_effect_again_and_who_did_it_is_written_down() {
    let shop = Shop::new().await;
    shop.deliver(&[("again", ""), ("again", ""), ("other", "")]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.pods.until_committed(&shop.topic, 0, 3).await;
    let pods = shop.pods.clone().variable("USER", "ann");
    let (code, said) = shop.forget(&pods, "again").await;
    assert_eq!((code, &said["forgotten"], &said["state"]), (Some(0), &json!(true), &json!("done")), "{said}");
    assert_eq!(shop.show("again").await["state"], "unknown");
    shop.deliver(&[("again", ""), ("other", ""), ("again", "")]).await;
    shop.pods.until_committed(&shop.topic, 0, 6).await;
    let expected = [("again".to_owned(), 2), ("other".to_owned(), 1)].into();
    assert_eq!(shop.pods.effects().counts(), expected, "once more, and only this one");

    let audited = shop.audited().await;
    assert_eq!(audited.len(), 1, "{audited:?}");
    let entry = &audited[0];
    for (name, value) in [
        ("verb", json!("dedupe forget")),
        ("group", json!(shop.pods.group)),
        ("handler", json!("obey")),
        ("key", json!("again")),
        ("outcome", json!("intended")),
    ] {
        assert_eq!(entry[name], value, "{entry}");
    }
    assert!(entry["who"].as_str().unwrap().starts_with("ann@"), "{entry}");
    assert!(entry["at"].as_str().unwrap().ends_with('Z'), "{entry}");
    assert_eq!((&entry["before"]["state"], &entry["before"]["attempts"]), (&json!("done"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_worked_on_or_unknown_is_not_forgotten() {
    let shop = Shop::new().await;
    let door = shop.pods.door("slow");
    shop.deliver(&[("slow", &door.order())]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.is("slow", "claimed").await;
    let (code, said) = shop.forget(&shop.pods, "slow").await;
    assert_eq!((code, &said["forgotten"]), (Some(1), &json!(false)), "{said}");
    assert!(said["reason"].as_str().unwrap().contains("worked on, under a lease until 2"), "{said}");
    door.open();
    let (code, said) = shop.forget(&shop.pods, "typo").await;
    assert_eq!((code, &said["state"]), (Some(1), &json!("unknown")), "{said}");
    shop.pods.until_committed(&shop.topic, 0, 1).await;
    assert_eq!(shop.pods.effects().counts(), [("slow".to_owned(), 1)].into());
    assert!(shop.audit.partitions().await.is_err(), "nothing was intended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_written_down_is_not_done() {
    let shop = Shop::new().await;
    shop.deliver(&[("kept", "")]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.pods.until_committed(&shop.topic, 0, 1).await;
    let nobody = format!("127.0.0.1:{}", free_ports(1));
    for (pods, reason) in [
        (shop.pods.clone().with("TOPICS__CREATE", "false"), "kafka-topics.sh --create"),
        (shop.pods.clone().with("KAFKA__BROKERS", &nobody), "Connection refused"),
    ] {
        let (code, said) = shop.forget(&pods, "kept").await;
        assert_eq!((code, &said["forgotten"]), (Some(1), &json!(false)), "{said}");
        let said = said["reason"].as_str().unwrap();
        assert!(said.starts_with("nothing was done") && said.contains(reason), "{said}");
        assert_eq!(shop.show("kept").await["state"], "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_checked_and_without_a_terminal_yes_has_to_be_said() {
    let shop = Shop::new().await;
    let group = shop.pods.group.as_str();
    for (args, texts) in [
        (
            ["--service", "orders", "--handler", "obay"],
            vec![
                "--service orders: there is no such service; there are ",
                "--handler obay: there is no such handler; there are obey",
            ],
        ),
        (["--service", group, "--handler", "obay"], vec!["there is no such handler of "]),
        (["--service", group, "--handler", "obey"], vec!["KEY is empty"]),
    ] {
        let mut worker = shop.pods.command(TEST_WORKER, &[&["dedupe", "show"], &args[..], &[""]].concat());
        assert_eq!(worker.wait(PATIENCE).await.code(), Some(2), "{}", worker.output());
        texts.into_iter().for_each(|text| assert!(worker.output().contains(text), "{}", worker.output()));
    }
    shop.deliver(&[("kept", "")]).await;
    let _pod = shop.pods.start(TEST_WORKER);
    shop.pods.until_committed(&shop.topic, 0, 1).await;
    let mut worker = shop.start(&shop.pods, "forget", "kept", &[]);
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(2), "{}", worker.output());
    assert!(worker.output().contains("--yes"), "{}", worker.output());
    assert_eq!(shop.show("kept").await["state"], "done");
}

/// Between the look and the act stands the audit topic: with its broker frozen, the world can change meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_after_the_look_is_kept_and_that_is_written_down() {
    let (mut redis, kafka) = tokio::join!(RedisServer::start(false), KafkaServer::start());
    let shop = Shop::new().await;
    let audit = TestTopic::at(&kafka.brokers(), "audit");
    let pods = shop.pods.clone().with("REDIS__URL", &redis.url()).with("KAFKA__BROKERS", &kafka.brokers());
    let pods = pods.with("TOPICS__AUDIT", audit.name());
    audit.create(1, &[("retention.ms", "-1")]).await;
    let key = StoreKey::new(&shop.pods.prefix(), &shop.pods.group, "obey", "event");
    let looks = async |redis: &RedisServer| {
        let stats: String = redis.command(&["INFO", "commandstats"]).await;
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_fcall:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    for outcome in ["refused", "failed"] {
        redis.command_on::<()>("SET", &key, &["17001", "PX", "3600000"]).await;
        let before = looks(&redis).await;
        kafka.freeze();
        let mut worker = shop.start(&pods, "forget", "event", &["--yes"]);
        until("the look", PATIENCE, async || match looks(&redis).await {
            calls if calls > before => Ok(()),
            calls => Err(calls),
        })
        .await;
        match outcome {
            "refused" => redis.command_on::<()>("SET", &key, &["18001", "PX", "3600000"]).await,
            _ => redis.kill(),
        }
        kafka.thaw();
        assert_eq!(worker.wait(PATIENCE).await.code(), Some(1), "{}", worker.output());
        assert_eq!(json_of(&worker)["forgotten"], false);
        if outcome == "refused" {
            assert_eq!(redis.command_on::<String>("GET", &key, &[]).await, "18001");
        }
        let records = audit.read().await;
        let entries: Vec<Value> =
            records.iter().map(|record| serde_json::from_str(&record.value_text()).unwrap()).collect();
        let [.., intended, amended] = &entries[..] else { panic!("{entries:?}") };
        assert_eq!((&intended["outcome"], &amended["outcome"]), (&json!("intended"), &json!(outcome)));
        assert_eq!((&intended["id"], &intended["key"]), (&amended["id"], &amended["key"]));
        assert!(amended["reason"].is_string() && intended["reason"].is_null(), "{amended}");
    }
}
