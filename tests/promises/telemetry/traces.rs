//! Spans as a collector receives them: one trace from whoever wrote a record to whatever came of it.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    TEST_WORKER,
    support::{
        collector::{Collector, Seen},
        kafka::{Record, TestTopic},
        pod::Pods,
        process::Worker,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PRODUCER: &str = "00f067aa0ba902b7";
/// As OTLP numbers them.
const INTERNAL: i32 = 1;
const SEND: i32 = 4;
const PROCESS: i32 = 5;

struct Scene {
    source: TestTopic,
    out: TestTopic,
    pods: Pods,
    _folder: TempDir,
}

impl Scene {
    /// One service on a topic in, another on the topic out that the first publishes to.
    async fn new(endpoint: &str) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let (source, out) = (TestTopic::new(1).await, TestTopic::new(1).await);
        let pods = Pods::of(source.name(), folder.path());
        let follower = format!("{}_follows", pods.group);
        let pods = pods
            .and(&follower, &format!("{}=follow", out.name()))
            .variable("ONCEWISE_TEST_PUBLISHES", "out")
            .variable("OTEL_BSP_SCHEDULE_DELAY", "100")
            .with("TOPICS__NAMES__OUT", out.name())
            .with("RETRY__MAX_ATTEMPTS", "3")
            .with("TELEMETRY__OTLP_ENDPOINT", endpoint);
        Scene { source, out, pods, _folder: folder }
    }

    fn start(&self) -> Worker {
        self.pods.start(TEST_WORKER)
    }
}

fn record(value: impl ToString, flags: &str) -> Record {
    Record::new("k", value.to_string()).header("traceparent", format!("00-{TRACE}-{PRODUCER}-{flags}"))
}

/// A span of this kind under this parent, once it is there.
async fn span(collector: &Collector, kind: i32, parent: &str) -> Seen {
    let what = format!("a span of kind {kind} under {parent}");
    until(&what, PATIENCE, async || {
        let spans = collector.spans();
        let found = spans.iter().find(|span| span.kind == kind && span.parent == parent).cloned();
        found.ok_or(spans)
    })
    .await
}

/// A span of this name, once it is there.
async fn named(collector: &Collector, name: &str) -> Seen {
    until(&format!("a span {name}"), PATIENCE, async || {
        let spans = collector.spans();
        spans.iter().find(|span| span.name == name).cloned().ok_or(spans)
    })
    .await
}

async fn polite(mut pod: Worker) -> String {
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    pod.output()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_leads_from_the_producer_over_retries_to_the_letter_and_whoever_reads_it() {
    let collector = Collector::start().await;
    let scene = Scene::new(&collector.endpoint()).await;
    let pods = scene.pods.clone().with("TELEMETRY__OTLP_HEADERS", "x-tenant=shop");
    let pod = pods.start(TEST_WORKER);
    scene.source.produce(record(r#"{"id":"e","fail":9}"#, "01")).await;
    pods.until_committed(&scene.source, 0, 1).await;

    let process = span(&collector, PROCESS, PRODUCER).await;
    let topic = scene.source.name();
    assert_eq!((process.trace.as_str(), process.name), (TRACE, format!("process {topic}")));
    assert_eq!((process.service.as_str(), process.tenant.as_str()), ("oncewise", "shop"));
    assert_eq!(process.error.as_deref(), Some("dead-lettered: exhausted"));
    let attributes = [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.destination.name", topic),
        ("messaging.destination.partition.id", "0"),
        ("messaging.kafka.offset", "0"),
        ("messaging.consumer.group.name", &pods.group),
        ("messaging.client.id", "oncewise"),
        ("oncewise.service", &pods.group),
        ("oncewise.handler", "obey"),
        ("oncewise.outcome", "dead_lettered"),
        ("error.type", "exhausted"),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(process.attributes, attributes.into(), "no key, and nothing of the payload");

    let spans = collector.spans();
    let attempts: Vec<&Seen> =
        spans.iter().filter(|span| span.kind == INTERNAL && span.parent == process.id).collect();
    let numbers: Vec<&str> = attempts.iter().map(|attempt| attempt.is("oncewise.attempt")).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    for attempt in attempts {
        assert_eq!((attempt.trace.as_str(), attempt.name.as_str()), (TRACE, "obey"));
        assert_eq!(attempt.error.as_deref(), Some("failed as ordered"));
        assert_eq!(attempt.is("error.type"), "retry");
    }

    // The letter has the producer's own header and, behind it, the span that wrote it.
    let letters = pods.letters(&scene.source).read().await;
    let sent = span(&collector, SEND, &process.id).await;
    assert_eq!((sent.trace.as_str(), sent.name), (TRACE, format!("send {topic}.{}.dlt", pods.group)));
    assert_eq!(letters[0].headers[0], record("", "01").headers[0]);
    assert_eq!(letters[0].header("traceparent"), Some(format!("00-{TRACE}-{}-01", sent.id)));
    // Whoever sends it again sends its headers, too.
    let again = Record { headers: letters[0].headers.clone(), ..Record::new("k", letters[0].value_text()) };
    scene.source.produce(again).await;
    let again = span(&collector, PROCESS, &sent.id).await;
    assert_eq!((again.trace.as_str(), again.is("oncewise.outcome")), (TRACE, "duplicate"));
    // And so does a redrive, whose next letter is one further.
    let service = ["dead-letters", "redrive", "--service", &pods.group, "--one", "0:0", "--yes"];
    let mut redrive = pods.command(TEST_WORKER, &service);
    let ended = redrive.wait(PATIENCE).await;
    assert!(ended.success(), "{}", redrive.output());
    let redriven = named(&collector, &format!("process {topic}.{}.redrive", pods.group)).await;
    let copy = named(&collector, &format!("send {topic}.{}.redrive", pods.group)).await;
    assert_eq!((copy.trace.as_str(), copy.parent.as_str(), copy.kind), (TRACE, sent.id.as_str(), SEND));
    assert_eq!((redriven.trace.as_str(), redriven.parent.as_str()), (TRACE, copy.id.as_str()));
    // What a person did is a trace of its own, to which its copies are linked.
    let deed = named(&collector, &format!("redrive {}", pods.group)).await;
    assert_eq!((copy.links, deed.is("messaging.batch.message_count")), (vec![deed.id.clone()], "1"));
    assert!(deed.trace != TRACE && deed.parent.is_empty() && deed.service == "dead-letters", "{deed:?}");
    assert_eq!(redriven.is("oncewise.outcome"), "dead_lettered");
    let second = span(&collector, SEND, &redriven.id).await;
    let letters = pods.letters(&scene.source).read().await;
    assert_eq!(letters[1].header("traceparent"), Some(format!("00-{TRACE}-{}-01", second.id)));
    polite(pod).await;
    let ids: BTreeSet<String> = collector.spans().into_iter().map(|span| span.id).collect();
    assert_eq!(ids.len(), collector.spans().len(), "no span is told twice");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_goes_on_in_the_events_out_and_in_the_next_service() {
    let collector = Collector::start().await;
    let scene = Scene::new(&collector.endpoint()).await;
    let pod = scene.pods.clone().with("TELEMETRY__TRACE_KEYS", "true").start(TEST_WORKER);
    let out = json!({"topic": "out", "key": "user-1", "value": "v"});
    scene.source.produce(record(json!({"id": "p", "publish": [out]}), "01")).await;

    let process = span(&collector, PROCESS, PRODUCER).await;
    assert_eq!((process.is("oncewise.outcome"), process.error.as_deref()), ("done", None));
    assert_eq!(process.is("messaging.kafka.message.key"), "k", "where somebody asks for it");
    let attempt = span(&collector, INTERNAL, &process.id).await;
    assert_eq!((attempt.is("oncewise.outcome"), attempt.error.as_deref()), ("done", None));
    let sent = span(&collector, SEND, &attempt.id).await;
    assert_eq!(sent.name, format!("send {}", scene.out.name()));
    let events = scene.out.read().await;
    assert_eq!(events[0].header("traceparent"), Some(format!("00-{TRACE}-{}-01", sent.id)));
    let next = span(&collector, PROCESS, &sent.id).await;
    assert_eq!((next.trace.as_str(), next.is("oncewise.handler")), (TRACE, "follow"));
    // A handler that answers at once is a part of its batch, and its attempt one of its process all the same.
    span(&collector, INTERNAL, &next.id).await;
    polite(pod).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_replay_runs_stays_in_its_trace_and_is_linked_to_the_replay() {
    let collector = Collector::start().await;
    let scene = Scene::new(&collector.endpoint()).await;
    scene.source.produce(record(r#"{"id":"missed"}"#, "01")).await;
    let service = ["--service", &scene.pods.group, "--from", "1h ago", "--to", "now", "--yes"];
    let mut replay = scene.pods.command(TEST_WORKER, &[&["replay"], &service[..]].concat());
    let ended = replay.wait(PATIENCE).await;
    assert!(ended.success(), "{}", replay.output());
    let process = span(&collector, PROCESS, PRODUCER).await;
    assert_eq!((process.trace.as_str(), process.is("oncewise.outcome")), (TRACE, "done"));
    let deed = named(&collector, &format!("replay {}", scene.pods.group)).await;
    assert_eq!((process.links, deed.is("messaging.batch.message_count")), (vec![deed.id.clone()], "1"));
    assert!(replay.output().contains(deed.attributes["oncewise.act"].as_str()), "{}", replay.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_its_producer_does_not_record_is_not_recorded_here_and_what_begins_here_by_its_share() {
    let collector = Collector::start().await;
    let scene = Scene::new(&collector.endpoint()).await;
    let pod = scene.pods.clone().with("TELEMETRY__TRACE_RATIO", "0").start(TEST_WORKER);
    let event = |id: &str| json!({"id": id, "publish": [{"topic": "out", "key": "", "value": id}]});
    scene.source.produce(record(event("unrecorded"), "00")).await;
    scene.source.produce(Record::new("k", event("of-no-trace").to_string())).await;
    scene.source.produce(record(event("recorded"), "01")).await;
    scene.pods.until_committed(&scene.source, 0, 3).await;
    let process = span(&collector, PROCESS, PRODUCER).await;
    assert_eq!(process.is("messaging.kafka.offset"), "2");
    let flags: Vec<String> = scene
        .out
        .read()
        .await
        .iter()
        .map(|event| event.header("traceparent").unwrap()[53..].to_owned())
        .collect();
    assert_eq!(flags, ["00", "00", "01"], "and whoever comes next need not record it either");
    polite(pod).await;
    assert!(collector.spans().iter().all(|span| span.trace == TRACE), "{:?}", collector.spans());
    let of_source =
        |span: &&Seen| span.kind == PROCESS && span.is("messaging.destination.name") == scene.source.name();
    assert_eq!(collector.spans().iter().filter(of_source).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_never_answers_holds_up_nothing_and_is_warned_of_once() {
    const EVENTS: i64 = 3_000;
    // Connections are taken by the system, and nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let scene = Scene::new(&format!("http://{}", silent.local_addr().unwrap())).await;
    let pods = scene.pods.clone().variable("OTEL_BSP_MAX_QUEUE_SIZE", "100");
    let pod = pods.start(TEST_WORKER);
    scene.source.produce_all((0..EVENTS).map(|n| record(json!({"id": n.to_string()}), "01"))).await;
    pods.until_committed(&scene.source, 0, EVENTS).await;
    let said = polite(pod).await;
    assert!(said.matches("the collector of traces is away").count() <= 1, "{said}");
    let lost: usize = said.matches("spans are lost: the collector was away").count();
    assert_eq!(lost, 1, "{said}");

    drop(silent);
    let mut pod = scene.start();
    scene.source.produce(record(r#"{"id":"last"}"#, "01")).await;
    pod.says("the collector of traces is away", PATIENCE).await;
    let said = polite(pod).await;
    assert_eq!(said.matches("the collector of traces is away").count(), 1, "{said}");
}
