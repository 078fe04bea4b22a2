//! A Kafka of one test, for brokers that go away and come back.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Worker;
use super::proxy::Proxy;
use super::wait::until;

/// One Kafka process with ports of its own.
#[derive(Debug)]
pub struct KafkaServer {
    dir: TempDir,
    port: u16,
    process: Option<Worker>,
}

impl KafkaServer {
    /// Starts a fresh one, which takes some five seconds.
    pub async fn start() -> KafkaServer {
        KafkaServer::start_with("").await
    }

    /// The same, with other lines in its configuration.
    pub async fn start_with(lines: &str) -> KafkaServer {
        let dir = tempfile::tempdir().expect("a folder for Kafka");
        KafkaServer::start_at(dir, super::free_ports(3), lines).await
    }

    /// The same with its data in a folder in this one, such as a small disk.
    pub async fn start_in(folder: &Path) -> KafkaServer {
        let dir = tempfile::tempdir_in(folder).expect("a folder for Kafka");
        KafkaServer::start_at(dir, super::free_ports(3), "").await
    }

    /// Starts one that can also be reached over a wire of its own: whoever begins at the wire stays on it, and whoever
    /// begins at [`brokers`](KafkaServer::brokers) never meets it.
    pub async fn start_behind_a_proxy() -> (KafkaServer, Proxy) {
        let dir = tempfile::tempdir().expect("a folder for Kafka");
        let port = super::free_ports(4);
        let (plain, wired, proxy) = (port, port + 3, Proxy::start(port + 3).await);
        let [sasl, controller, end] =
            [port + 1, port + 2, proxy.port()].map(|port| format!("127.0.0.1:{port}"));
        let more = [
            format!("listeners=PLAIN://127.0.0.1:{plain},SASL://{sasl},CONTROLLER://{controller},WIRED://127.0.0.1:{wired}"),
            format!("advertised.listeners=PLAIN://127.0.0.1:{plain},SASL://{sasl},WIRED://{end}"),
            "listener.security.protocol.map=PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT,WIRED:PLAINTEXT".to_owned(),
        ];
        (KafkaServer::start_at(dir, port, &more.join("\n")).await, proxy)
    }

    /// Starts a second broker of the same cluster, which is no controller: its node id is 2.
    pub async fn start_a_second(&self) -> KafkaServer {
        let dir = tempfile::tempdir().expect("a folder for Kafka");
        let (port, controller) = (super::free_ports(3), self.port + 2);
        let more = [
            "process.roles=broker".to_owned(),
            "node.id=2".to_owned(),
            format!("controller.quorum.voters=1@127.0.0.1:{controller}"),
            format!("listeners=PLAIN://127.0.0.1:{port}"),
            format!("advertised.listeners=PLAIN://127.0.0.1:{port}"),
        ];
        KafkaServer::start_at(dir, port, &more.join("\n")).await
    }

    async fn start_at(dir: TempDir, port: u16, more: &str) -> KafkaServer {
        let mut server = KafkaServer { dir, port, process: None };
        let mut format =
            Worker::spawn(server.script(&["kafka_format", server.path(), &port.to_string(), more]));
        let status = format.wait(Duration::from_secs(60)).await;
        assert!(status.success(), "Kafka's data folder could not be made: {}", format.output());
        server.start_again().await;
        server
    }

    /// Its `host:port`; the same after every start.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same server where it asks for user `worker` and password `right-password`, as [`kafka::brokers_sasl`] does.
    ///
    /// [`kafka::brokers_sasl`]: super::kafka::brokers_sasl
    pub fn brokers_sasl(&self) -> String {
        format!("127.0.0.1:{}", self.port + 1)
    }

    /// Adds or removes rights, in the words of `kafka-acls.sh`, where it was started with an authorizer.
    pub async fn acls(&self, words: &[&str]) {
        let brokers = self.brokers();
        let call =
            ["kafka_java", "256m", "org.apache.kafka.tools.AclCommand", "--bootstrap-server", &brokers];
        let mut command = Worker::spawn(self.script(&[&call[..], words].concat()));
        let status = command.wait(Duration::from_secs(60)).await;
        assert!(status.success(), "{}", command.output());
    }

    /// Ends it politely (SIGTERM).
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate();
            process.wait(Duration::from_secs(60)).await;
        }
    }

    /// Ends it without a warning (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Waits until it ends by itself.
    pub async fn ends(&mut self, deadline: Duration) {
        let mut process = self.process.take().expect("Kafka runs");
        process.wait(deadline).await;
    }

    /// Freezes it: connections stand, answers do not come.
    pub fn freeze(&self) {
        self.process.as_ref().expect("Kafka runs").freeze();
    }

    /// Lets a frozen one go on.
    pub fn thaw(&self) {
        self.process.as_ref().expect("Kafka runs").thaw();
    }

    /// Starts a stopped or killed one at its old port with its data.
    pub async fn start_again(&mut self) {
        assert!(self.process.is_none(), "Kafka still runs");
        let properties = format!("{}/server.properties", self.path());
        let mut process = Worker::spawn(self.script(&["kafka_java", "512m", "kafka.Kafka", &properties]));
        until("Kafka to answer", Duration::from_secs(60), async || {
            if let Some(status) = process.ended() {
                panic!("Kafka ended with {status}: {}", process.output());
            }
            super::kafka::answers(&self.brokers()).await
        })
        .await;
        self.process = Some(process);
    }

    fn path(&self) -> &str {
        self.dir.path().to_str().expect("a folder with a readable name")
    }

    /// One function of `tests/services/kafka.sh`, so that all Kafkas of the tests are of one kind.
    fn script(&self, call: &[&str]) -> Command {
        super::service("ONCEWISE_TEST_KAFKA_CLASSPATH");
        let mut command = Command::new("bash");
        command.current_dir(super::repository()).args(["-euo", "pipefail", "-c"]);
        command.arg(r#". tests/services/common.sh; . tests/services/kafka.sh; "$@""#).arg("bash").args(call);
        command
    }
}
