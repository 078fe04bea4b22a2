//! Topics of ours by which events come again: made anew, out of sight, or paused while their worker stood still.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    TEST_WORKER,
    support::{
        free_ports, http,
        kafka::{Record, TestTopic},
        kafka_server::KafkaServer,
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];

fn redriven(topic: &TestTopic, pods: &Pods) -> TestTopic {
    TestTopic::at(topic.brokers(), &format!("{}.{}.redrive", topic.name(), pods.group))
}

/// What is sent back for the event `id` of this offset.
fn copy(topic: &TestTopic, id: &str, offset: i64) -> Record {
    Record::new(id, format!(r#"{{"id":"{id}"}}"#))
        .header("oncewise-original-topic", topic.name())
        .header("oncewise-original-partition", "0")
        .header("oncewise-original-offset", offset.to_string())
        .header("oncewise-handler", "obey")
        .header("oncewise-hop", "1")
}

/// Waits until `/readyz` answers with this status and these words.
async fn ready(port: u16, status: u16, words: &str) {
    until(&format!("/readyz to say {status} {words}"), PATIENCE, async || {
        match http::get(port, "/readyz").await? {
            (found, said) if found == status && said.contains(words) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

fn probed(pods: &Pods) -> (Worker, u16) {
    let port = free_ports(1);
    (pods.clone().with("HTTP__LISTEN", &format!("127.0.0.1:{port}")).start(TEST_WORKER), port)
}

async fn check(pods: &Pods, args: &[&str]) -> (Option<i32>, String) {
    let mut check = pods.command(TEST_WORKER, &[&["check"], args].concat());
    (check.wait(PATIENCE).await.code(), check.output())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_topic_that_was_made_again_waits_for_a_person_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path());
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    redriven.produce(copy(&topic, "before", 1)).await;
    let mut first = pods.start(TEST_WORKER);
    pods.until_committed(&redriven, 0, 1).await;
    first.terminate();
    assert!(first.wait(PATIENCE).await.success());
    redriven.delete().await;
    redriven.create(1, FOREVER).await;
    redriven.produce_all(["b", "c"].map(|id| copy(&topic, id, 2))).await;

    let (_pod, port) = probed(&pods);
    let paused = format!("partition 0 of {} is paused", redriven.name());
    ready(port, 503, &paused).await;
    assert_eq!(
        pods.effects().counts().into_keys().collect::<Vec<_>>(),
        ["before"],
        "nothing of it is consumed"
    );
    let (code, said) = check(&pods, &["--accept", &format!("{}.redrive:0=earliest", topic.name())]).await;
    assert_eq!(code, Some(2), "a topic that is nobody's: {said}");
    let (code, said) = check(&pods, &["--accept", &format!("{}:0=earliest", redriven.name())]).await;
    assert_eq!(code, Some(0), "{said}");
    pods.until_committed(&redriven, 0, 2).await;
    assert_eq!(pods.effects().counts().into_keys().collect::<Vec<_>>(), ["b", "before", "c"]);
    ready(port, 200, "ok").await;
    let later = format!("{}.{}.retry.1m:0=latest", topic.name(), pods.group);
    let (code, said) = check(&pods, &["--accept", &later]).await;
    assert_eq!(code, Some(0), "one of what is tried later may be decided, too: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fell_due_while_its_worker_stood_still_holds_up_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("RETRY__LATER", "5s")
        // It stays a member however long it stands still.
        .with("KAFKA__PROPERTIES__SESSION_TIMEOUT_MS", "30000");
    let later = TestTopic::named(&format!("{}.{}.retry.5s", topic.name(), pods.group));
    let pod = pods.start(TEST_WORKER);
    let event = |id: &str| Record::new(id, format!(r#"{{"id":"{id}","fail":1}}"#));
    topic.produce(event("a")).await;
    pods.until_committed(&topic, 0, 1).await;
    let copies = later.read().await;
    let due: Timestamp = copies[0].header("oncewise-due-at").unwrap().parse().unwrap();
    let left = |until: Timestamp| until.as_millisecond() - Timestamp::now().as_millisecond();
    let wait = async |what: &str, ms: i64| {
        until(what, PATIENCE, async || if left(due) <= ms { Ok(()) } else { Err(left(due)) }).await;
    };
    // Read long ago, and nothing behind it is fetched any more; it falls due before anybody has looked again.
    wait("it to be read", 3_000).await;
    pod.freeze();
    wait("it to be due", -300).await;
    pod.thaw();
    pods.until_committed(&later, 0, 1).await;
    topic.produce(event("b")).await;
    pods.until_committed(&later, 0, 2).await;
    let attempts = pods.attempts().counts();
    assert_eq!(attempts, [("a".to_owned(), 2), ("b".to_owned(), 2)].into());
    assert_eq!(pods.effects().counts(), [("a".to_owned(), 1), ("b".to_owned(), 1)].into());
}

const WITH_RIGHTS: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redrive_topic_that_may_not_be_seen_is_told_by_the_check_and_the_probe() {
    let server = KafkaServer::start_with(WITH_RIGHTS).await;
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::at(&server.brokers(), "orders");
    topic.create(1, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("KAFKA__BROKERS", &server.brokers_sasl())
        .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
        .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker")
        .with("KAFKA__PROPERTIES__SASL_PASSWORD", "right-password");
    let redriven = redriven(&topic, &pods);
    let about = ["--topic", redriven.name(), "--deny-principal", "User:worker", "--operation", "Describe"];
    server.acls(&[&["--add"], &about[..]].concat()).await;
    redriven.create(1, FOREVER).await;
    redriven.produce(copy(&topic, "sent-back", 7)).await;

    let (_pod, port) = probed(&pods);
    let unseen = format!("topic {}: whether it is there cannot be seen", redriven.name());
    ready(port, 200, &unseen).await;
    let (code, said) = check(&pods, &[]).await;
    let words = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(code, Some(0), "it holds up no start: {said}");
    assert!(words.contains(redriven.name()) && words.contains("grant Describe and Read"), "{said}");
    assert!(pods.effects().counts().is_empty());

    server.acls(&[&["--remove", "--force"], &about[..]].concat()).await;
    pods.until_committed(&redriven, 0, 1).await;
    assert_eq!(pods.effects().counts(), [("sent-back".to_owned(), 1)].into());
    ready(port, 200, "ok").await;
    assert!(!http::get(port, "/readyz").await.unwrap().1.contains("cannot be seen"));
}
