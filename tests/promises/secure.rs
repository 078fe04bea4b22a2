//! Brokers that demand certificates and logins: work goes on over TLS, and what does not fit is named at the start.

use std::{path::PathBuf, time::Duration};

use futures_util::future::join_all;

use crate::{
    TEST_WORKER,
    support::{
        kafka::{Record, TestTopic},
        pod::Pods,
        service,
    },
};

/// Whatever is asked waits ten seconds at most; a busy machine may take threefold.
const PATIENCE: Duration = Duration::from_secs(60);
/// Must never be seen.
const WRONG: &str = "canary-4712";
/// Nor must the right one.
const PASSWORD: &str = "right-password";

/// A file among the certificates of the tests.
fn file(name: &str) -> String {
    PathBuf::from(service("ONCEWISE_TEST_KAFKA_TLS")).join(name).to_str().unwrap().to_owned()
}

/// The address of a listener.
fn listener(name: &str) -> String {
    service(&format!("ONCEWISE_TEST_BROKERS_{name}"))
}

impl Pods {
    fn property(self, name: &str, value: &str) -> Pods {
        self.with(&format!("KAFKA__PROPERTIES__{}", name.replace('.', "_").to_uppercase()), value)
    }

    /// At a listener, with these properties of Kafka's client.
    fn at(self, brokers: &str, properties: &[(&str, &str)]) -> Pods {
        let pods = self.with("KAFKA__BROKERS", brokers).property("ssl.ca.location", &file("ca.pem"));
        // The name of the machine may stand for an address at which no broker of the tests listens.
        let pods = pods.property("broker.address.family", "v4");
        properties.iter().fold(pods, |pods, (name, value)| pods.property(name, value))
    }

    fn with_certificate(self, name: &str) -> Pods {
        let [certificate, key] = ["pem", "key"].map(|kind| file(&format!("{name}.{kind}")));
        let properties = [
            ("security.protocol", "ssl"),
            ("ssl.certificate.location", &certificate),
            ("ssl.key.location", &key),
        ];
        self.at(&listener("MTLS"), &properties)
    }

    fn with_password(self) -> Pods {
        let properties = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "worker"),
        ];
        self.at(&listener("SCRAM"), &properties)
    }

    /// Any token will do: what is tested is that Kafka's client has this login, also where nobody polls.
    fn with_token(self) -> Pods {
        let properties = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "OAUTHBEARER"),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.oauthbearer.config", "principal=worker"),
        ];
        self.at(&listener("TOKEN"), &properties)
    }
}

/// A verb, to its end: its exit code and what it said, which holds no secret.
async fn does(pods: &Pods, args: &[&str]) -> (Option<i32>, String) {
    let mut worker = pods.command(TEST_WORKER, args);
    let code = worker.wait(PATIENCE).await.code();
    let said = worker.output();
    assert!(!said.contains(WRONG) && !said.contains(PASSWORD), "a secret in: {said}");
    assert!(!said.contains("BEGIN PRIVATE KEY"), "{said}");
    (code, said)
}

/// Every verb that speaks to Kafka works there: `check` makes the topics, `run` handles and dead-letters, `replay` knows.
async fn works(secure: impl FnOnce(Pods) -> Pods) {
    let folder = tempfile::tempdir().unwrap();
    let topic = TestTopic::with_config(2, &[("retention.ms", "-1")]).await;
    let audit = format!("{}.audit", topic.name());
    let pods = secure(Pods::of(topic.name(), folder.path()).with("TOPICS__AUDIT", &audit));
    topic.produce(Record::new("a", r#"{"id":"fine"}"#).to(0)).await;
    topic.produce(Record::new("b", r#"{"id":"rejected","reject":true}"#).to(1)).await;

    let (code, said) = does(&pods, &["check", "--create"]).await;
    assert_eq!(code, Some(0), "{said}");
    let mut pod = pods.start(TEST_WORKER);
    pods.commit(&topic, 2, PATIENCE).await;
    pod.terminate();
    assert_eq!(pod.wait(PATIENCE).await.code(), Some(0), "{}", pod.output());
    assert_eq!(pods.effects().counts(), [("fine".to_owned(), 1)].into());
    assert_eq!(pods.letters(&topic).read().await.len(), 1);
    let (code, said) = does(
        &pods,
        &["replay", "--service", &pods.group, "--from", "1h ago", "--to", "now", "--yes", "--json"],
    )
    .await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(r#""already_done":1"#) && said.contains(r#""already_dead":1"#), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_where_both_sides_show_certificates() {
    works(|pods| pods.with_certificate("client")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_where_a_password_from_a_file_is_sent_by_scram() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, format!("{PASSWORD}\n")).unwrap();
    works(|pods| pods.with_password().property("sasl.password.file", secret.to_str().unwrap())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_goes_on_where_tokens_are_wanted() {
    works(Pods::with_token).await;
}

/// How one start is refused: the name of the case, the pods, and what has to be said.
type Refused = (&'static str, Pods, Vec<&'static str>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_refused_at_the_start_with_the_key_to_mend_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let pods = || Pods::of("nowhere", folder.path());
    let password = || pods().with_password().property("sasl.password", PASSWORD);
    let tls = [("security.protocol", "ssl")];
    let strange = file("stranger.pem");
    let untrusted = vec!["the TLS handshake", "ssl.ca.location", "expired", "kafka.brokers"];
    let uncertified = vec!["the TLS handshake", "ssl.certificate.location", "ssl.key.location"];
    let elsewhere = listener("SCRAM").replace("localhost", "127.0.0.1");
    let cases: Vec<Refused> = vec![
        (
            "a wrong password",
            pods().with_password().property("sasl.password", WRONG),
            vec!["the login", "check user, password and mechanism in [kafka.properties]"],
        ),
        (
            "an authority that nobody knows",
            password().property("ssl.ca.location", &strange),
            untrusted.clone(),
        ),
        (
            "a name that is not the certificate's",
            password().with("KAFKA__BROKERS", &elsewhere),
            untrusted.clone(),
        ),
        ("a certificate that has expired", pods().at(&listener("EXPIRED"), &tls), untrusted),
        ("no certificate", pods().at(&listener("MTLS"), &tls), uncertified.clone()),
        ("a certificate of somebody else", pods().with_certificate("impostor"), uncertified),
        (
            "a file that is not there",
            pods().with_certificate("client").property("ssl.ca.location", "/no/such.pem"),
            vec!["kafka.properties: ssl.ca.location"],
        ),
        ("no TLS where it is wanted", pods().at(&listener("MTLS"), &[]), vec!["security.protocol"]),
        (
            "tokens that this program cannot fetch",
            pods()
                .with_token()
                .property("sasl.oauthbearer.method", "oidc")
                .property("sasl.oauthbearer.client.secret", WRONG),
            vec!["kafka.properties.sasl.oauthbearer.method", "`oidc`"],
        ),
        (
            "plaintext to another machine",
            pods().with("KAFKA__BROKERS", "kafka.example:9092"),
            vec!["kafka.brokers", "kafka.allow_plaintext"],
        ),
    ];
    let ends = join_all(cases.into_iter().map(async |(case, pods, texts)| {
        let (code, said) = does(&pods, &["run"]).await;
        assert!(matches!(code, Some(1 | 2)), "{case}: {code:?}: {said}");
        for text in texts {
            assert!(said.contains(text), "{case}: {text:?} is missing in: {said}");
        }
        (case, code)
    }));
    let usage: Vec<_> =
        ends.await.into_iter().filter(|(_, code)| *code == Some(2)).map(|(case, _)| case).collect();
    assert_eq!(usage, ["tokens that this program cannot fetch", "plaintext to another machine"]);
}
