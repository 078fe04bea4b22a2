//! A user who may do in Kafka what the guide says, and no more: everything works, and a right that is missing is named.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        kafka_server::KafkaServer,
        pod::Pods,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const FOREVER: &[(&str, &str)] = &[("retention.ms", "-1")];
/// Nobody but the tests' own user may do anything unless it is said.
const NOTHING_IS_ALLOWED: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:ANONYMOUS";

/// The words of each command under a heading of the guide's page about security, after `--add`: first what workers need, then
/// what whoever acts needs besides. The page's service is `payments`.
fn rights() -> [Vec<Vec<String>>; 2] {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/guide/src/security.md")).unwrap();
    let part = page.split("### Rights in Kafka").nth(1).unwrap().split("\n### ").next().unwrap();
    let commands = |block: &str| {
        let lines = block.replace("\\\n", " ");
        let lines = lines.lines().filter_map(|line| line.split_once(" --add ")).map(|(_, words)| words);
        lines.map(|words| words.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let mut blocks = part.split("```sh").skip(1).map(|block| commands(block.split("```").next().unwrap()));
    let [workers, acting]: [Vec<Vec<String>>; 2] = [(); 2].map(|()| blocks.next().unwrap());
    assert!(blocks.next().is_none() && workers.len() >= 5 && !acting.is_empty(), "{workers:?} {acting:?}");
    [workers, acting]
}

/// A broker that asks who one is, and a service there.
struct Guarded {
    server: KafkaServer,
    topic: TestTopic,
    published: TestTopic,
    pods: Pods,
    folder: tempfile::TempDir,
}

impl Guarded {
    async fn new(partitions: i32) -> Guarded {
        let (server, folder) =
            (KafkaServer::start_with(NOTHING_IS_ALLOWED).await, tempfile::tempdir().unwrap());
        let [topic, published] =
            ["orders.created", "payments.settled"].map(|name| TestTopic::at(&server.brokers(), name));
        topic.create(partitions, FOREVER).await;
        published.create(1, FOREVER).await;
        let pods = Pods::of(topic.name(), folder.path())
            .with("KAFKA__BROKERS", &server.brokers_sasl())
            .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
            .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
            .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker")
            .with("KAFKA__PROPERTIES__SASL_PASSWORD", "right-password")
            .with("LEDGER__ENABLED", "true")
            .with("DEDUPE__PREFIX", "oncewise")
            .with("RETRY__MAX_ATTEMPTS", "2")
            .variable("ONCEWISE_TEST_PUBLISHES", published.name());
        Guarded { server, topic, published, pods, folder }
    }

    /// Adds or removes what the page says, for the group of this test.
    async fn change(&self, how: &[&str], rights: &[Vec<String>]) {
        join_all(rights.iter().map(async |words| {
            let words: Vec<_> = words.iter().map(|word| self.here(word)).collect();
            let words: Vec<_> = how.iter().copied().chain(words.iter().map(String::as_str)).collect();
            self.server.acls(&words).await;
        }))
        .await;
    }

    /// A name of the page as it is here.
    fn here(&self, word: &str) -> String {
        if word == self.published.name() {
            word.to_owned()
        } else {
            word.replace("payments", &self.pods.group)
        }
    }

    fn ours(&self, kind: &str) -> TestTopic {
        TestTopic::at(self.topic.brokers(), &format!("{}.{}.{kind}", self.topic.name(), self.pods.group))
    }

    /// A verb to its end: its exit code and what it said, on one line.
    async fn does(&self, args: &[&str]) -> (Option<i32>, String) {
        let mut verb = self.pods.command(TEST_WORKER, args);
        let code = verb.wait(PATIENCE).await.code();
        (code, verb.output().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    async fn did(&self, args: &[&str]) -> String {
        let (code, said) = self.does(args).await;
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    }

    async fn effects(&self, expected: &[&str]) {
        until(&format!("the effects {expected:?}"), PATIENCE, async || {
            let found: Vec<_> = self.pods.effects().counts().into_keys().collect();
            if found == expected { Ok(()) } else { Err(found) }
        })
        .await;
    }
}

fn words(text: &str) -> Vec<String> {
    format!("--allow-principal User:worker {text}").split(' ').map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rights_of_the_guide_are_enough_for_everything_and_one_that_is_missing_is_named() {
    let mut guarded = Guarded::new(1).await;
    guarded.pods = guarded.pods.with("RETRY__LATER", "1s");
    let [workers, acting] = rights();
    let (topic, pods) = (&guarded.topic, &guarded.pods);
    let service = ["--service", pods.group.as_str()];
    let redrive = [&["dead-letters", "redrive", "--all", "--yes"][..], &service].concat();
    let away = guarded.folder.path().join("away");
    guarded.change(&["--add"], &workers).await;
    let said = guarded.did(&["check", "--create"]).await;
    for made in ["oncewise.control", "oncewise.audit", &guarded.here("oncewise.ledger.payments")] {
        assert!(said.contains(&format!("topic {made} | created")), "{made}: {said}");
    }

    std::fs::write(&away, "").unwrap();
    let events = [
        r#"{"id":"handled"}"#.to_owned(),
        r#"{"id":"later","fail":1,"retry_after_ms":1500}"#.to_owned(),
        format!(r#"{{"id":"sent-back","away":"{}"}}"#, away.display()),
        format!(
            r#"{{"id":"told","publish":[{{"topic":"{}","key":"k","value":"out"}}]}}"#,
            guarded.published.name()
        ),
    ];
    topic.produce_all(events.map(|event| Record::new("k", event))).await;
    let pod = pods.start(TEST_WORKER);
    guarded.effects(&["handled", "later", "told"]).await;
    pods.until_committed(topic, 0, 4).await;
    assert_eq!(guarded.published.read().await.len(), 1);
    assert_eq!(guarded.ours("dlt").read().await.len(), 1);

    // Whoever only works may not act.
    let (code, said) = guarded.does(&[&["pause"][..], &service].concat()).await;
    assert_eq!(code, Some(1), "{said}");
    let names = ["nothing was done", "topic oncewise.audit", "grant Write on it to this user"];
    assert!(names.iter().all(|name| said.contains(name)), "{said}");
    guarded.change(&["--add"], &acting).await;
    for verb in ["pause", "status", "resume"] {
        guarded.did(&[&[verb][..], &service].concat()).await;
    }
    std::fs::remove_file(&away).unwrap();
    guarded.did(&redrive).await;
    guarded.effects(&["handled", "later", "sent-back", "told"]).await;
    let replay = ["replay", "--from", "1h ago", "--to", "now", "--yes", "--json"];
    let said = guarded.did(&[&replay[..], &service].concat()).await;
    assert!(said.contains(r#""already_done":4"#), "{said}");

    // Each right that is taken away is named by whoever needs it.
    let prefixed = "--operation Write --resource-pattern-type prefixed";
    let letters = words(&format!("{prefixed} --topic orders.created.payments."));
    guarded.change(&["--remove", "--force"], &[letters, acting[1].clone()]).await;
    topic.produce(Record::new("k", r#"{"id":"rejected","reject":true}"#)).await;
    let named = format!("error=topic {}: ", guarded.ours("dlt").name());
    until("the right to write letters to be named", PATIENCE, async || {
        let said = pod.output();
        let line = said.lines().find(|line| line.contains(&named)).map(str::to_owned);
        line.filter(|line| line.ends_with("grant Write on it to this user")).ok_or(said)
    })
    .await;
    let (code, said) = guarded.does(&redrive).await;
    assert_eq!(code, Some(1), "{said}");
    let named = format!("transactional id {}.status", guarded.ours("dlt").name());
    assert!(said.contains(&named) && said.contains("grant Write on it to this user"), "{said}");

    guarded.change(&["--remove", "--force"], &workers[1..3]).await;
    let (code, said) = guarded.does(&["check"]).await;
    assert_eq!(code, Some(1), "{said}");
    let published =
        format!("topic {}: grant Describe and Write on it to this user", guarded.published.name());
    let group = format!("group {}: grant Read on it to this user", pods.group);
    assert!(said.contains(&published) && said.contains(&group), "{said}");
}

/// Kafka's client knows several ways to hand over what it has fetched. By one of them it reads on behind the record that an
/// error was about, as soon as the group has shared out its partitions anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_to_read_that_is_missing_for_a_while_costs_no_record_although_a_pod_joins_meanwhile() {
    let guarded = Guarded::new(2).await;
    let (topic, pods) = (&guarded.topic, &guarded.pods);
    let everything =
        "--operation All --topic * --group * --transactional-id * --cluster".split(' ').map(str::to_owned);
    let everything = words("").into_iter().filter(|word| !word.is_empty()).chain(everything).collect();
    guarded.change(&["--add"], &[everything]).await;
    let events = async |numbers: std::ops::Range<usize>| {
        let event = |n| Record::new(format!("key-{n}"), format!(r#"{{"id":"event-{n}"}}"#));
        topic.produce_all(numbers.map(event)).await;
    };
    let expected = |number| (0..number).map(|n| format!("event-{n}")).collect::<BTreeSet<_>>();
    let effects = async |number| {
        until("the effects", PATIENCE, async || {
            let found: BTreeSet<_> = pods.effects().counts().into_keys().collect();
            if found == expected(number) { Ok(()) } else { Err(found) }
        })
        .await;
    };
    events(0..10).await;
    let mut first = pods.start(TEST_WORKER);
    effects(10).await;

    let no_reading = format!("--deny-principal User:worker --operation Read --topic {}", topic.name());
    let no_reading = [no_reading.split(' ').map(str::to_owned).collect()];
    guarded.change(&["--add"], &no_reading).await;
    first.says("grant Read on it to this user", PATIENCE).await;
    events(10..30).await;
    let mut second = pods.start(TEST_WORKER);
    second.says(": assigned ", PATIENCE).await;
    guarded.change(&["--remove", "--force"], &no_reading).await;
    effects(30).await;
    pods.commit(topic, 30, PATIENCE).await;
    assert_eq!(pods.effects().all().len(), 30, "none has taken effect twice");
}
