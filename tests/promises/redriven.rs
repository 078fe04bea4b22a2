//! What a person sends back to the group by its redrive topic: every worker of the group takes it, for the handler that it
//! names, and once however often it is there.

use std::time::Duration;

use oncewise::store::StoreKey;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{ReadRecord, Record, TestTopic},
        pod::Pods,
        redis::RedisServer,
    },
};

const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];

fn redriven(topic: &TestTopic, pods: &Pods) -> TestTopic {
    TestTopic::named(&format!("{}.{}.redrive", topic.name(), pods.group))
}

/// The copy of a letter, as it is sent back.
fn copy_of(letter: &ReadRecord) -> Record {
    let count = |name: &str| letter.header(name).map_or(0, |count| count.parse::<u32>().unwrap());
    let (hop, redrives) = (count("oncewise-hop") + 1, count("oncewise-redrive-count") + 1);
    let copy = Record::new(letter.key.clone().unwrap(), letter.value.clone().unwrap()).to(letter.partition);
    let kept = ["original-topic", "original-partition", "original-offset", "original-timestamp"];
    let kept =
        kept.into_iter().chain(["group", "handler", "dedupe-key"]).map(|name| format!("oncewise-{name}"));
    let theirs = letter.headers.iter().filter(|(name, _)| !name.starts_with(b"oncewise-")).cloned();
    let copy = Record { headers: theirs.collect(), timestamp: letter.timestamp, ..copy };
    let copy = kept.fold(copy, |copy, name| match letter.header(&name) {
        Some(value) => copy.header(name, value),
        None => copy,
    });
    copy.header("oncewise-redrive-count", redrives.to_string()).header("oncewise-hop", hop.to_string())
}

fn said(letter: &ReadRecord) -> [String; 7] {
    [
        "original-topic",
        "original-partition",
        "original-offset",
        "disposition",
        "attempts",
        "redrive-count",
        "hop",
    ]
    .map(|name| letter.header(&format!("oncewise-{name}")).unwrap_or_else(|| "-".to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_there_twice_runs_once_and_its_attempts_begin_anew() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path());
    topic.produce(Record::new("a", r#"{"id":"stubborn","fail":1}"#).header("tenant", "north")).await;
    let mut strict = pods.clone().with("RETRY__MAX_ATTEMPTS", "1").start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    strict.terminate();
    assert!(strict.wait(Duration::from_secs(30)).await.success());
    let letters = pods.letters(&topic).read().await;
    assert_eq!(said(&letters[0]), [topic.name(), "0", "0", "exhausted", "1", "0", "-"]);

    let _pod = pods.clone().with("RETRY__MAX_ATTEMPTS", "2").start(TEST_WORKER);
    // Another duplicate of a dead event is one, and shows that the worker is there before the topic is.
    topic.produce(Record::new("a", r#"{"id":"stubborn","fail":1}"#)).await;
    pods.until_committed(&topic, 0, 2).await;
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    redriven.produce_all([copy_of(&letters[0]), copy_of(&letters[0])]).await;
    pods.until_committed(&redriven, 0, 2).await;
    let attempts: Vec<u32> = pods.attempts().all().iter().map(|attempt| attempt.attempt).collect();
    assert_eq!(attempts, [1, 1, 2]);
    assert_eq!(pods.effects().counts(), [("stubborn".to_owned(), 1)].into());
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_death_writes_a_letter_about_the_record_itself_with_its_count() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(2, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path());
    let redriven = redriven(&topic, &pods);
    redriven.create(2, FOREVER).await;
    topic.produce(Record::new("a", r#"{"id":"before"}"#).to(1)).await;
    topic
        .produce(Record::new("a", r#"{"id":"rejected","reject":true}"#).to(1).stamped(1_700_000_000_123))
        .await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 1, 2).await;
    for (count, hop) in [("0", "-"), ("1", "1"), ("2", "2")] {
        let letters = pods.letters(&topic).read().await;
        let letter = letters.last().unwrap();
        assert_eq!(said(letter), [topic.name(), "1", "1", "rejected", "1", count, hop]);
        assert_eq!((letter.partition, letter.timestamp), (1, Some(1_700_000_000_123)));
        let (_, offset) = redriven.produce(copy_of(letter)).await;
        pods.until_committed(&redriven, 1, offset + 1).await;
    }
    assert_eq!(pods.letters(&topic).read().await.len(), 4);
    assert_eq!(pods.attempts().counts()["rejected"], 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_goes_to_the_handler_that_it_names_and_to_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(&format!("{}=types", topic.name()), folder.path());
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    let copy = |id: &str| {
        let copy = Record::new("a", format!(r#"{{"id":"{id}"}}"#)).header("ce_type", "thing.created");
        let copy = copy.header("oncewise-original-topic", topic.name()).header("oncewise-hop", "1");
        copy.header("oncewise-original-partition", "0").header("oncewise-original-offset", "7")
    };
    let copies = [
        copy("by-type"),
        copy("named").header("oncewise-handler", "close"),
        copy("orphan").header("oncewise-handler", "gone"),
    ];
    redriven.produce_all(copies).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&redriven, 0, 3).await;
    let effects = pods.effects().counts();
    assert_eq!(effects.into_keys().collect::<Vec<_>>(), ["close-named", "create-by-type"]);
    let letters = pods.letters(&topic).read().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(said(&letters[0]), [topic.name(), "0", "7", "no-handler", "0", "0", "1"]);
    assert_eq!(letters[0].header("oncewise-handler").as_deref(), Some("gone"));
    assert!(letters[0].header("oncewise-error").unwrap().contains("\"gone\""), "{letters:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_copy_is_a_letter_and_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    // A group that begins at the end of its topics has what was sent back to it before all the same.
    let pods = Pods::of(topic.name(), folder.path()).with("WORKER__START_FROM", "latest");
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    let whole = |id: &str| {
        let copy = Record::new("a", format!(r#"{{"id":"{id}"}}"#)).header("oncewise-hop", "1");
        copy.header("oncewise-original-partition", "0").header("oncewise-original-offset", "7")
    };
    let records = [
        Record::new("a", r#"{"id":"bare"}"#),
        whole("elsewhere").header("oncewise-original-topic", "somebody.elses"),
        whole("unread").header("oncewise-original-topic", topic.name()).header("oncewise-hop", b"\xff"),
        whole("fine").header("oncewise-original-topic", topic.name()),
    ];
    redriven.produce_all(records).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&redriven, 0, 4).await;
    assert_eq!(pods.effects().counts(), [("fine".to_owned(), 1)].into());
    let letters: Vec<_> = pods.letters(&topic).read().await.iter().map(said).collect();
    let letter = |offset: &str, hop: &str| {
        [topic.name(), "0", offset, "undecodable", "0", "0", hop].map(str::to_owned)
    };
    assert_eq!(letters, [letter("-1", "-"), letter("7", "1"), letter("7", "-")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_letter_of_a_mismatch_is_sent_back_once_to_run_instead_of_what_is_dead() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, FOREVER).await;
    let pods = Pods::of(topic.name(), folder.path());
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    topic.produce(Record::new("a", r#"{"id":"pay-1","reject":true,"fingerprint":"10 EUR"}"#)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, 1).await;
    // It is dead, sent back, and dead again.
    let letters = pods.letters(&topic).read().await;
    redriven.produce(copy_of(&letters[0])).await;
    pods.until_committed(&redriven, 0, 1).await;
    topic.produce(Record::new("a", r#"{"id":"pay-1","fingerprint":"99 EUR"}"#)).await;
    pods.until_committed(&topic, 0, 2).await;
    let letters = pods.letters(&topic).read().await;
    assert_eq!(said(&letters[2]), [topic.name(), "0", "1", "mismatch", "0", "0", "1"]);
    redriven.produce(copy_of(&letters[2])).await;
    pods.until_committed(&redriven, 0, 2).await;
    assert_eq!(pods.effects().counts(), [("pay-1".to_owned(), 1)].into());
    assert_eq!(pods.letters(&topic).read().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_back_begins_anew_although_its_claim_was_handed_over_with_all_attempts_spent() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let redis = RedisServer::start(false).await;
    let pods = Pods::of(topic.name(), folder.path()).with("REDIS__URL", &redis.url());
    let key = StoreKey::new(&pods.prefix(), &pods.group, "obey", "spent");
    redis.command_on::<()>("SET", &key, &["1F1000::0:5:0:0:1700000000000:W:N:", "PX", "600000"]).await;
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    redriven.produce(sent_back(&topic, "spent", 4)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&redriven, 0, 1).await;
    assert_eq!(pods.letters(&topic).read().await, []);
    assert_eq!(pods.effects().counts(), [("spent".to_owned(), 1)].into());
}

fn sent_back(topic: &TestTopic, id: &str, failures: u32) -> Record {
    let copy =
        Record::new("a", format!(r#"{{"id":"{id}","fail":{failures}}}"#)).header("oncewise-handler", "obey");
    let copy = copy.header("oncewise-original-topic", topic.name()).header("oncewise-hop", "1");
    copy.header("oncewise-original-partition", "0").header("oncewise-original-offset", "7")
}

/// Its attempts begin anew once, and not whenever they are spent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_back_and_nobody_can_handle_is_a_letter_when_its_time_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::new(1).await;
    let pods = Pods::of(topic.name(), folder.path())
        .with("RETRY__MAX_ATTEMPTS", "2")
        .with("RETRY__INITIAL_DELAY", "10ms")
        .with("RETRY__MAX_DELAY", "200ms")
        .with("RETRY__AT_LEAST", "2s");
    let redriven = redriven(&topic, &pods);
    redriven.create(1, FOREVER).await;
    redriven.produce(sent_back(&topic, "never", 1_000)).await;
    let _pod = pods.start(TEST_WORKER);
    pods.until_committed(&redriven, 0, 1).await;
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
    assert!(pods.attempts().counts()["never"] > 2, "its time was not used");
}
