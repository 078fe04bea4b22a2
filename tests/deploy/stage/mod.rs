//! Stands for a container engine: what the composition says is run as plain processes of this machine.
//!
//! Commands, environment, secrets and health checks are those of the file. Only addresses and paths are others, because
//! all of it shares one network and one file system here.

mod images;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{
    compose::{Compose, make_secrets, seconds, texts},
    root,
    support::{free_ports, process::Worker, wait::until},
};

/// The ports at which the images listen, by whom others look for them.
const PORTS: [(&str, &[u16]); 8] = [
    ("kafka", &[9092, 9093, 29092]),
    ("redis", &[6379]),
    ("postgres", &[5432]),
    ("mail", &[1025]),
    ("orders", &[9464, 9465]),
    ("payments", &[9464, 9465]),
    ("notifications", &[9464, 9465]),
    ("prometheus", &[9090]),
];

/// How long an image's own defaults give a health check.
const INTERVAL: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    folder: TempDir,
    secrets: PathBuf,
    ports: BTreeMap<(&'static str, u16), u16>,
    compose: Compose,
    running: BTreeMap<String, Worker>,
}

impl Stage {
    /// With a mail server of the test's at this port.
    pub(crate) fn set(mail: u16) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL's user has to reach what is its own.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o711)).unwrap();
        let all = PORTS.iter().flat_map(|(name, ports)| ports.iter().map(move |port| (*name, *port)));
        let ports = all.map(|at| (at, if at.0 == "mail" { mail } else { free_ports(1) })).collect();
        let secrets = make_secrets(folder.path());
        let stage = Stage { folder, secrets, ports, compose: Compose::read(), running: BTreeMap::new() };
        for secret in fs::read_dir(&stage.secrets).unwrap() {
            stage.translate_file("", &secret.unwrap().path());
        }
        stage.bring_images();
        stage
    }

    /// Where a port of a container is on this machine.
    pub(crate) fn port(&self, container: &str, port: u16) -> u16 {
        let found = self.ports.iter().find(|((name, inside), _)| (*name, *inside) == (container, port));
        *found.unwrap_or_else(|| panic!("nobody looks for {container}:{port}")).1
    }

    pub(crate) fn secret(&self, name: &str) -> String {
        fs::read_to_string(self.secrets.join(name)).unwrap()
    }

    /// The addresses and paths of a container in those of this machine.
    fn translate(&self, container: &str, text: &str) -> String {
        let mut text = text.to_owned();
        // Longer ports first: 29092 ends in 9092.
        for ((name, inside), port) in self.ports.iter().rev() {
            let there = format!("127.0.0.1:{port}");
            text = text.replace(&format!("{name}:{inside}"), &there);
            if *name == container {
                for local in ["localhost", "0.0.0.0"] {
                    text = text.replace(&format!("{local}:{inside}"), &there);
                }
                text = text.replace(&format!("://:{inside}"), &format!("://{there}"));
            }
        }
        let inside = self.folder.path().join(container);
        for (path, there) in [
            ("/run/secrets", &self.secrets),
            ("/opt/kafka/bin", &self.folder.path().join("bin")),
            ("/var/lib/kafka/data", &inside.join("log")),
            ("/etc/prometheus", &inside.join("etc")),
            ("=/prometheus", &inside.join("data")),
        ] {
            let there = there.to_str().unwrap();
            let there = if path.starts_with('=') { format!("={there}") } else { there.to_owned() };
            text = text.replace(path, &there);
        }
        text.replace("$$", "$")
    }

    fn translate_file(&self, container: &str, path: &Path) {
        let text = fs::read_to_string(path).unwrap();
        fs::write(path, self.translate(container, &text)).unwrap();
    }

    /// The program and the arguments of a container; an image without either is started by what stands for it.
    fn words(&self, name: &str) -> Vec<String> {
        let container = self.compose.at(&format!("/services/{name}"));
        let list = |key: &str| container.get(key).map(texts).unwrap_or_default();
        let (mut entrypoint, command) = (list("entrypoint"), list("command"));
        if entrypoint.is_empty() {
            entrypoint = match container["image"].as_str().unwrap().split(':').next().unwrap() {
                "oncewise/worker" => vec!["worker"],
                "apache/kafka" => vec!["kafka"],
                "postgres" => vec!["postgres"],
                "prom/prometheus" => vec!["prometheus"],
                _ => Vec::new(),
            };
        }
        entrypoint.iter().chain(&command).map(|word| self.translate(name, word)).collect()
    }

    /// One of a container's commands, in its environment.
    pub(crate) fn command(&self, name: &str, words: &[String]) -> Command {
        let container = self.compose.at(&format!("/services/{name}"));
        let bin = self.folder.path().join("bin");
        let mut command = Command::new("env");
        command.args(words).current_dir(root()).env_clear();
        command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        for variable in ["ONCEWISE_TEST_KAFKA_CLASSPATH", "HOME"] {
            command.env(variable, std::env::var(variable).unwrap_or_default());
        }
        if let Some((_, at)) =
            self.ports.iter().find(|((known, inside), _)| *known == name && *inside == 9464)
        {
            // What the image itself says.
            command.env("ONCEWISE__HTTP__LISTEN", format!("127.0.0.1:{at}"));
        }
        for (variable, value) in container.get("environment").and_then(Value::as_object).into_iter().flatten()
        {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            command.env(variable, self.translate(name, &value));
        }
        command
    }

    /// Starts a container after those that it depends on, as far as these have to be.
    pub(crate) async fn up(&mut self, name: &str) {
        if self.running.contains_key(name) {
            return;
        }
        let container = self.compose.at(&format!("/services/{name}")).clone();
        for (other, needed) in container.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
            Box::pin(self.up(other)).await;
            match needed["condition"].as_str().unwrap() {
                "service_healthy" => self.healthy(other).await,
                "service_completed_successfully" => {
                    let ended = self.running.get_mut(other).unwrap().wait(Duration::from_secs(60)).await;
                    assert!(ended.success(), "{other}: {}", self.running[other].output());
                }
                condition => panic!("{name} waits for {condition}"),
            }
        }
        let process = Worker::spawn(self.command(name, &self.words(name)));
        self.running.insert(name.to_owned(), process);
    }

    /// Waits until a container's own health check says so, no longer than the composition allows.
    pub(crate) async fn healthy(&mut self, name: &str) {
        let check = self.compose.at(&format!("/services/{name}/healthcheck")).clone();
        let [_, words @ ..] = &texts(&check["test"])[..] else { panic!("{name}: {check}") };
        let words: Vec<String> = words.iter().map(|word| self.translate(name, word)).collect();
        let of = |key: &str| check.get(key).map(|value| seconds(value.as_str().unwrap()));
        let retries = check.get("retries").and_then(Value::as_u64).unwrap_or(3);
        let budget = of("start_period").unwrap_or_default()
            + of("interval").unwrap_or(INTERVAL) * u32::try_from(retries).unwrap();
        until(&format!("{name} to be healthy"), budget, async || {
            let asked = self.command(name, &words).output().unwrap();
            let said = || {
                [asked.stdout.as_slice(), &asked.stderr]
                    .map(|text| String::from_utf8_lossy(text).into_owned())
            };
            if asked.status.success() { Ok(()) } else { Err(said()) }
        })
        .await;
    }

    /// Runs a container with other arguments, as `docker compose run` does; what it printed.
    pub(crate) async fn run(&self, name: &str, args: &[&str]) -> String {
        let entrypoint = texts(self.compose.at(&format!("/services/{name}/entrypoint")));
        let words: Vec<String> = entrypoint.iter().chain(args).map(|word| (*word).to_owned()).collect();
        let mut process = Worker::spawn(self.command(name, &words));
        let ended = process.wait(Duration::from_secs(60)).await;
        assert!(ended.success(), "{name}: {}", process.output());
        process.output()
    }

    /// Stops a container as Compose does; it has to end by itself, and well, before it would be killed.
    pub(crate) async fn stop(&mut self, name: &str) {
        let grace = self.compose.at(&format!("/services/{name}/stop_grace_period")).as_str().unwrap();
        let grace = seconds(grace);
        let process = self.running.get_mut(name).unwrap();
        process.terminate();
        let ended = process.wait(grace).await;
        assert!(ended.success(), "{name} ended with {ended}: {}", process.output());
    }
}
