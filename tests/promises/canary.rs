//! Secrets and payloads are planted wherever they may be, everything that can go wrong does, and then all that a worker
//! has said to anybody is searched for them. Beside this, no pod of any test may show the password that `Pods` gives to
//! all of them (`support/process.rs`).

use std::time::Duration;

use crate::{
    TEST_WORKER,
    support::{
        free_ports,
        http::{ask, get},
        kafka::{ReadRecord, Record, TestTopic, brokers_sasl},
        pod::Pods,
        process::Worker,
        redis::RedisServer,
        wait::until,
    },
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of Redis, and wherever else a password may stand.
const SECRET: &str = "canary-secret-4711";
/// That of the tests' own broker.
const BROKERS: &str = "right-password";
const TOKEN: &str = "canary-token-0123456789abcdef";
/// In values, and in headers of others.
const PAYLOAD: &str = "canary-payload-4711";
/// In the keys of records, which nobody asked to see.
const KEY: &str = "canary-key-4711";

/// Everything that was said, and to whom.
#[derive(Default)]
struct Said(Vec<(String, String)>);

impl Said {
    fn hear(&mut self, what: impl Into<String>, text: impl Into<String>) {
        self.0.push((what.into(), text.into()));
    }

    async fn end(&mut self, what: &str, mut worker: Worker) -> Option<i32> {
        let code = worker.wait(PATIENCE).await.code();
        self.hear(what, worker.output());
        code
    }

    /// What our own headers say of a letter; those of others are the record's, byte for byte.
    fn letters(&mut self, letters: &[ReadRecord]) {
        for letter in letters {
            let ours = letter.headers.iter().filter(|(name, _)| name.starts_with(b"oncewise-"));
            let text = ours.map(|(name, value)| {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                format!("{}={}\n", text(name), text(value.as_deref().unwrap_or_default()))
            });
            self.hear("a letter", text.collect::<String>());
        }
    }

    #[track_caller]
    fn hide(&self, canaries: &[&str]) {
        assert!(self.0.iter().any(|(_, text)| text.len() > 1000), "there is something to search");
        for (what, text) in &self.0 {
            for canary in canaries {
                let at = text.find(canary);
                let around =
                    at.map(|at| text[..at].lines().last().unwrap_or_default().to_owned() + &text[at..]);
                assert!(at.is_none(), "{what} shows {canary}: {:.500}", around.unwrap_or_default());
            }
        }
    }
}

/// With every secret there is, planted.
fn planted(pods: Pods, redis: &RedisServer) -> Pods {
    pods.with("KAFKA__BROKERS", &brokers_sasl())
        .with("KAFKA__PROPERTIES__SECURITY_PROTOCOL", "sasl_plaintext")
        .with("KAFKA__PROPERTIES__SASL_MECHANISM", "PLAIN")
        .with("KAFKA__PROPERTIES__SASL_USERNAME", "worker")
        .with("KAFKA__PROPERTIES__SASL_PASSWORD", BROKERS)
        .with("KAFKA__PROPERTIES__SSL_KEY_PASSWORD", SECRET)
        .with("REDIS__URL", &format!("redis://:{SECRET}@127.0.0.1:{}/", redis.port()))
        .with("ADMIN__TOKEN", TOKEN)
        .with("TELEMETRY__LOG_FILTER", "trace")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_and_no_payload_is_shown_by_anything_whatever_goes_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(1, &[("retention.ms", "-1")]).await;
    let audit = TestTopic::named(&format!("{}.audit", topic.name()));
    let mut redis = RedisServer::start(false).await;
    redis.command::<String>(&["CONFIG", "SET", "requirepass", SECRET]).await;
    let pods = planted(Pods::of(topic.name(), folder.path()), &redis)
        .with("RETRY__MAX_ATTEMPTS", "2")
        .with("TOPICS__AUDIT", audit.name());
    let mut said = Said::default();
    let values = [
        format!(r#"{{"id":"fine","fingerprint":"{PAYLOAD}"}}"#),
        format!(r#"{{"id":"fine","fingerprint":"{PAYLOAD}-too"}}"#),
        format!(r#"{{"id":"rejected","reject":true,"fingerprint":"{PAYLOAD}"}}"#),
        format!(r#"{{"id":"quoted","quote":"{PAYLOAD}"}}"#),
        format!(r#"{{"id":"shape","fail":"{PAYLOAD}"}}"#),
        format!(r#"{{"id":"name","{PAYLOAD}":1}}"#),
        format!("{PAYLOAD} is no JSON"),
        format!(r#"{{"id":"","fingerprint":"{PAYLOAD}"}}"#),
    ];
    let records = values.iter().map(|value| {
        let record = Record::new(KEY, value).header("tenant", PAYLOAD).header("traceparent", PAYLOAD);
        record.header("tracestate", PAYLOAD).header("content-type", format!("application/{PAYLOAD}"))
    });
    topic.produce_all(records).await;
    // A structured CloudEvent that is none.
    let event = format!(r#"{{"specversion":"1.0","id":"{PAYLOAD}","{PAYLOAD}":{{}}}}"#);
    topic.produce(Record::new(KEY, event).header("content-type", "application/cloudevents+json")).await;
    let count = values.len() as i64 + 1;

    let [http, admin] = [free_ports(1), free_ports(1)];
    let pods = pods
        .with("TELEMETRY__LOG_FORMAT", "json")
        .with("HTTP__LISTEN", &format!("127.0.0.1:{http}"))
        .with("ADMIN__LISTEN", &format!("127.0.0.1:{admin}"));
    let pod = pods.start(TEST_WORKER);
    pods.until_committed(&topic, 0, count).await;
    for path in ["/metrics", "/livez", "/readyz", "/startupz", "/nowhere"] {
        let (_, body) = until(path, PATIENCE, async || get(http, path).await).await;
        said.hear(path, body);
    }
    let order = format!(r#"{{"service":"{PAYLOAD}","from":"{PAYLOAD}","to":"now","{PAYLOAD}":1}}"#);
    for (token, method, body) in
        [(TOKEN, "GET", ""), (SECRET, "GET", ""), (TOKEN, "POST", "{"), (SECRET, "POST", &order)]
    {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let asked = async || ask(admin, method, "/api/v1/replays", &headers, body).await;
        let answer = until("the API", PATIENCE, asked).await;
        said.hear(format!("{method} /replays"), format!("{}\n{}", answer.head, answer.body));
    }
    let others = pods
        .clone()
        .with("HTTP__LISTEN", "off")
        .with("ADMIN__LISTEN", "off")
        .with("TELEMETRY__LOG_FORMAT", "text");
    let service = ["--service", &pods.group];
    for verb in [
        &["config"][..],
        &["check"],
        &["check", "--create"],
        &[&["dedupe", "show"], &service[..], &["--handler", "obey", "fine"]].concat(),
        &[&["dedupe", "forget"], &service[..], &["--handler", "obey", "fine", "--yes"]].concat(),
        &[&["replay"], &service[..], &["--from", "1h ago", "--to", "now", "--dry-run"]].concat(),
    ] {
        said.end(&verb.join(" "), others.command(TEST_WORKER, verb)).await;
    }
    // Whatever connections that are refused lead to.
    redis.kill();
    topic.produce(Record::new(KEY, format!(r#"{{"id":"late","fingerprint":"{PAYLOAD}"}}"#))).await;
    let reason = until("the store to be missed", PATIENCE, async || {
        let (status, reason) = get(http, "/readyz").await?;
        if status == 503 { Ok(reason) } else { Err(reason) }
    });
    said.hear("/readyz", reason.await);
    pod.terminate();
    said.end("the log", pod).await;
    let letters = pods.letters(&topic).read().await;
    assert!(letters.len() >= 7, "{letters:?}");
    said.letters(&letters);
    for record in audit.read().await {
        said.hear("the audit topic", record.value_text());
    }
    said.hide(&[SECRET, BROKERS, TOKEN, PAYLOAD, KEY]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_shown_by_a_start_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let redis = RedisServer::start(false).await;
    redis.command::<String>(&["CONFIG", "SET", "requirepass", "another"]).await;
    let pods = || planted(Pods::of("nowhere", folder.path()), &redis).with("HTTP__LISTEN", "off");
    let closed = format!("redis://:{SECRET}@127.0.0.1:{}/", free_ports(1));
    let cases = [
        ("a wrong password of Redis", pods()),
        ("a wrong password of Kafka", pods().with("KAFKA__PROPERTIES__SASL_PASSWORD", SECRET)),
        ("a Redis that is not there", pods().with("REDIS__URL", &closed)),
        (
            "a Redis beyond this machine",
            pods().with("REDIS__URL", &format!("redis://me:{SECRET}@redis.example")),
        ),
        ("a URL that is none", pods().with("REDIS__URL", &format!("redis://me:{SECRET}@localhost:port/x"))),
        ("a scheme that is not allowed", pods().with("REDIS__URL", &format!("{SECRET}://localhost"))),
        ("a key of another kind", pods().with("KAFKA__PROPERTIES__SSL_KEY_PEM", SECRET)),
        (
            "an unknown key",
            pods().with("REDIS__PASSWORD", SECRET).with("KAFKA__PROPERTIES__SSL_KEY_PASWORD", SECRET),
        ),
        ("a file that is the secret itself", pods().with("ADMIN__TOKEN_FILE", SECRET)),
        ("a token that could be guessed", pods().with("ADMIN__TOKEN", &SECRET[..15])),
    ];
    let mut said = Said::default();
    for (case, pods) in &cases {
        let code = said.end(case, pods.command(TEST_WORKER, &["run"])).await;
        assert!(matches!(code, Some(1 | 2)), "{case}: {code:?}: {:?}", said.0.last());
    }
    said.hear("padding", " ".repeat(1001));
    said.hide(&[&SECRET[..15], BROKERS, TOKEN]);
}
