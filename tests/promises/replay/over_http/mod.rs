//! Replays over HTTP: in the worker's own process, with the answers of the command line.

mod endings;

use serde_json::{Value, json};

use super::{PATIENCE, Past, counts};
use crate::{
    TEST_WORKER,
    support::{
        free_ports,
        http::{Answer, ask, get, metric},
        kafka::committed,
        process::Worker,
        redis::store_records,
        wait::until,
    },
};

const TOKEN: &str = "0123456789abcdef-of-a-test";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A worker whose live group leaves the past alone, and its endpoints.
struct Api {
    worker: Worker,
    port: u16,
}

impl Past {
    async fn with_api(&self) -> Api {
        let port = free_ports(1);
        let pods = self.pods.clone().with("ADMIN__LISTEN", &format!("127.0.0.1:{port}"));
        let pods = pods.with("ADMIN__TOKEN", TOKEN).with("WORKER__START_FROM", "latest");
        let api = Api { worker: pods.start(TEST_WORKER), port };
        until("the admin API", PATIENCE, async || get(port, "/").await.map_err(|_| api.worker.output()))
            .await;
        api
    }

    fn range(&self, from: i64, to: i64) -> Value {
        json!({ "from": self.at(from), "to": self.at(to) })
    }
}

impl Api {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [&[("authorization", bearer.as_str())], headers].concat();
        let answer = ask(self.port, method, &format!("/api/v1{path}"), &headers, body).await;
        answer.unwrap_or_else(|error| panic!("{error}: {}", self.worker.output()))
    }

    /// `POST /replays` with one or more objects made one.
    async fn post(&self, orders: &[&Value]) -> (u16, Value) {
        let merged = orders.iter().flat_map(|order| order.as_object().unwrap().clone()).collect();
        let answer = self.ask("POST", "/replays", &[JSON], &Value::Object(merged).to_string()).await;
        (answer.status, answer.json())
    }

    async fn start(&self, orders: &[&Value]) -> String {
        let (status, shown) = self.post(orders).await;
        assert_eq!((status, &shown["state"]), (202, &json!("running")), "{shown}");
        shown["id"].as_str().unwrap().to_owned()
    }

    async fn show(&self, id: &str) -> Value {
        self.ask("GET", &format!("/replays/{id}"), &[], "").await.json()
    }

    async fn cancel(&self, id: &str) -> (u16, Value) {
        let answer = self.ask("DELETE", &format!("/replays/{id}"), &[], "").await;
        (answer.status, answer.json())
    }

    async fn is(&self, id: &str, state: &str) -> Value {
        until(&format!("{id} to be {state}"), PATIENCE, async || {
            let shown = self.show(id).await;
            if shown["state"] == state { Ok(shown) } else { Err((shown, self.worker.output())) }
        })
        .await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_is_looked_at_started_listed_and_shown() {
    let past = Past::of(2).await;
    past.events(60).await;
    let api = past.with_api().await;
    let hour = past.range(10, 40);
    let (status, looked) = api.post(&[&hour, &json!({ "dry_run": true })]).await;
    assert_eq!((status, counts(&looked)), (200, json!({ "ran": 30, "outside": 20 })), "{looked}");
    assert_eq!(looked["samples"]["will-run"].as_array().map(Vec::len), Some(5), "{looked}");
    let (status, verified) = api.post(&[&hour, &json!({ "mode": "verify" })]).await;
    assert_eq!((status, &verified["tally"]), (200, &looked["tally"]));
    assert_eq!(api.ask("GET", "/replays", &[], "").await.json(), json!({ "replays": [] }));
    assert!(past.audit.partitions().await.is_err(), "nothing was intended");

    let before = committed(&past.pods.group, &past.topic).await;
    let partition = json!({ "partitions": "1", "topics": [past.topic.name()] });
    let first = api.start(&[&hour, &partition]).await;
    let shown = api.is(&first, "finished").await;
    assert_eq!(counts(&shown), json!({ "ran": 15, "outside": 10 }), "{shown}");
    assert_eq!((&shown["mode"], shown["parts"].as_array().map(Vec::len)), (&json!(null), Some(1)), "{shown}");
    assert_eq!(shown["order"]["mode"], "skip-done", "{shown}");
    let second = api.start(&[&hour, &json!({ "service": past.pods.group, "rate": 1000 })]).await;
    let shown = api.is(&second, "finished").await;
    assert_eq!(counts(&shown), json!({ "ran": 15, "already_done": 15, "outside": 20 }), "{shown}");
    assert_eq!(past.effects(), [(1, 30)].into());
    assert_eq!(committed(&past.pods.group, &past.topic).await, before, "the live group was not touched");

    let listed = api.ask("GET", "/replays", &[], "").await.json();
    let listed: Vec<&Value> =
        listed["replays"].as_array().unwrap().iter().map(|shown| &shown["id"]).collect();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.contains(&&json!(first)) && listed.contains(&&json!(second)), "{listed:?}");
    let resumed = api.post(&[&json!({ "resume": first })]).await;
    assert_eq!(resumed, (409, json!({ "error": format!("--resume {first}: it is finished") })));

    let audited = past.audited().await;
    let acts: Vec<_> = audited.iter().map(|act| (&act["who"], &act["verb"], &act["outcome"])).collect();
    let (who, verb) = (json!("api@127.0.0.1"), json!("replay"));
    let (intended, done) = (json!("intended"), json!("done"));
    let act = [(&who, &verb, &intended), (&who, &verb, &done)];
    assert_eq!(acts, [act, act].concat());
    assert_eq!(audited[0]["before"]["id"], json!(first));
    assert!(!api.worker.output().contains(TOKEN), "{}", api.worker.output());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_replays_do_in_a_worker_is_counted_apart() {
    let past = Past::of(1).await;
    past.events(10).await;
    let probes = free_ports(1);
    let past = past.with("HTTP__LISTEN", &format!("127.0.0.1:{probes}"));
    let api = past.with_api().await;
    let id = api.start(&[&past.range(0, 10)]).await;
    api.is(&id, "finished").await;
    let group = &past.pods.group;
    let count = async |service: String| {
        let labels = format!(r#"outcome="done",service="{service}""#);
        metric(probes, "oncewise_attempts_total", &labels).await.map_err(|error| (error, api.worker.output()))
    };
    assert_eq!(count(format!("{group}:replay")).await.unwrap(), 10.0);
    assert_eq!(count(group.clone()).await.unwrap(), 0.0, "live events are counted apart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_runs_a_few_replays_at_once_and_no_more() {
    let past = Past::of(4).await;
    let event = |partition: i32| past.event(&format!("p{partition}"), r#","sleep_ms":600000"#, partition, 0);
    past.topic.produce_all((0..4).map(event)).await;
    let api = past.with_api().await;
    let range = past.range(0, 1);
    for partition in ["0", "1", "2"] {
        api.start(&[&range, &json!({ "partitions": partition })]).await;
    }
    let (status, refused) = api.post(&[&range, &json!({ "partitions": "3" })]).await;
    assert_eq!(status, 503, "{refused}");
    assert!(refused["error"].as_str().unwrap().starts_with("3 replays run in this worker"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_knows_is_refused_in_the_words_of_the_command_line() {
    let past = Past::of(1).await.with("DEDUPE__TTL", "8s").with("RETRY__BUDGET", "2s");
    past.events(10).await;
    past.is_handled(10).await;
    until("everything to be forgotten", PATIENCE, async || {
        let known = store_records(&past.pods.prefix()).await;
        if known.is_empty() { Ok(()) } else { Err(known.len()) }
    })
    .await;
    let api = past.with_api().await;
    let (status, refused) = api.post(&[&past.range(0, 5)]).await;
    let error = past.replay(0, 5, &[]).await.json()["error"].clone();
    assert_eq!((status, &refused["error"]), (409, &error));
    assert!(error.as_str().unwrap().contains("of 5 events nobody knows"), "{error}");
    assert_eq!(past.effects(), [(1, 10)].into());
    assert!(past.audit.partitions().await.is_err(), "nothing was intended");
    let id = api.start(&[&past.range(0, 5), &json!({ "allow_unknown": true })]).await;
    assert_eq!(counts(&api.is(&id, "finished").await)["ran"], 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_let_in_without_the_token_and_bad_requests_are_told_all_that_is_wrong() {
    let past = Past::of(1).await;
    past.events(1).await;
    let api = past.with_api().await;
    let order = past.range(0, 1).to_string();
    let wrong = format!("Bearer {TOKEN}0");
    for (method, path) in [
        ("GET", "/replays"),
        ("POST", "/replays"),
        ("GET", "/replays/x"),
        ("DELETE", "/replays/x"),
        ("GET", "/other"),
    ] {
        let cookie = format!("token={TOKEN}");
        for header in [("authorization", wrong.as_str()), ("cookie", cookie.as_str())] {
            let path = format!("/api/v1{path}?token={TOKEN}");
            let answer = ask(api.port, method, &path, &[JSON, header], &order).await.unwrap();
            assert_eq!(answer.status, 401, "{method} {path}: {answer:?}");
            assert!(answer.head.contains("www-authenticate: Bearer"), "{answer:?}");
        }
    }
    for (headers, body, status) in [
        (vec![], order.as_str(), 415),
        (vec![("content-type", "text/plain")], order.as_str(), 415),
        (vec![JSON], &"x".repeat(64 * 1024 + 1), 413),
        (vec![JSON], "", 400),
        (vec![JSON], "[]", 400),
    ] {
        let answer = api.ask("POST", "/replays", &headers, body).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.json()["error"].is_string() && answer.head.contains("no-store"), "{answer:?}");
    }
    for (method, path, status) in [
        ("GET", "/replays/none", 404),
        ("DELETE", "/replays/none", 404),
        ("GET", "/other", 404),
        ("PUT", "/replays", 405),
    ] {
        let answer = api.ask(method, path, &[], "").await;
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(api.post(&[&json!({ "resume": "none" })]).await.0, 404);

    let bad = json!({
        "service": "nobody", "from": "yesterday", "to": [5], "mode": "fast", "partitions": "a", "rate": -1,
        "epoch": "e", "dryrun": true,
    });
    let (status, refused) = api.post(&[&bad]).await;
    assert_eq!(status, 400);
    let problems: Vec<&str> =
        refused["problems"].as_array().unwrap().iter().map(|problem| problem.as_str().unwrap()).collect();
    for start in [
        "to: [5] is not allowed; allowed is a text or an offset",
        "mode: \"fast\" is not allowed; allowed is \"skip-done\", \"verify\" or \"force\"",
        "rate: -1 is not allowed; allowed is an integer of 1 and more",
        "\"dryrun\": there is no such field; there are service, ",
        "--service nobody: there is no such service; there are ",
        "--from `yesterday` is neither a time nor an offset; allowed are ",
        "--partitions `a`: allowed are ",
    ] {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start}: {problems:#?}");
    }
    assert_eq!(problems.len(), 7, "and nothing else: {problems:#?}");
    let (status, refused) = api.post(&[&past.range(0, 1), &json!({ "epoch": "e" })]).await;
    assert_eq!((status, &refused["error"]), (400, &json!("--epoch and --new-keys belong to --mode force")));
    // What is wrong with the range alone is said as the command line says it.
    for (from, to, args) in [(10, 5, &[][..]), (5, 5, &[]), (5, 10, &["--topic", "other"])] {
        let topics = json!({ "topics": args.get(1).map_or(vec![], |topic| vec![*topic]) });
        let (status, refused) = api.post(&[&past.range(from, to), &topics]).await;
        let said = past.replay(from, to, args).await;
        assert_eq!((status, said.code), (400, Some(2)), "{refused}");
        assert_eq!(refused["error"], said.json()["error"]);
    }
    assert_eq!(api.ask("GET", "/replays", &[], "").await.json(), json!({ "replays": [] }));
    assert!(past.audit.partitions().await.is_err(), "nothing was intended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_nothing_is_served_and_that_is_said() {
    let past = Past::of(1).await;
    let port = free_ports(1);
    let pods = past.pods.clone().with("ADMIN__LISTEN", &format!("127.0.0.1:{port}"));
    let mut worker = pods.start(TEST_WORKER);
    worker.says("the admin API is not served: there is no admin.token", PATIENCE).await;
    pods.until_committed(&past.topic, 0, 0).await;
    assert!(get(port, "/api/v1/replays").await.is_err(), "somebody answers");
    worker.terminate();
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(0));

    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut worker = pods.with("ADMIN__TOKEN", TOKEN).start(TEST_WORKER);
    assert_eq!(worker.wait(PATIENCE).await.code(), Some(1), "{}", worker.output());
    let start = format!("admin.listen = \"127.0.0.1:{port}\": cannot listen there: ");
    assert!(worker.output().contains(&start), "{}", worker.output());
    drop(taken);
}
