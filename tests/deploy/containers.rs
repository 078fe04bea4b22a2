//! The containers: what they are told is what the worker understands, and what they ask for is there.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::Value;

use crate::{
    compose::{Compose, Container, make_secrets, seconds, texts},
    root, services,
};

/// After the drain deadline, a worker may take this long to leave its groups.
const LEAVE: Duration = Duration::from_secs(5);

#[test]
fn the_worker_accepts_every_variable_and_shows_its_value() {
    for (name, worker) in Compose::read().workers() {
        let container = Container::of(worker);
        let shown = container.run(&["config"]);
        let said = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.status.success(), "{name}: {said}{}", String::from_utf8_lossy(&shown.stderr));
        for (variable, value) in container.environment() {
            let line = said.lines().find(|line| line.ends_with(&format!("# {variable}")));
            let line = line.unwrap_or_else(|| panic!("{name}: nothing comes from {variable} in\n{said}"));
            let is_file = variable.ends_with("_FILE");
            let shown = [format!("= \"{value}\""), format!("= {value} ")];
            assert!(is_file || shown.iter().any(|shown| line.contains(shown)), "{name}: {line}");
        }
        for url in ["redis://***@redis:6379", "postgres://***@postgres:5432/shop"] {
            assert!(said.contains(url), "{name}: {url} is missing in\n{said}");
        }
        assert!(said.contains("kafka.brokers = \"kafka:9092\""), "{said}");
        let mail = container.environment().iter().find(|(variable, _)| variable.ends_with("SMTP_URL"));
        assert_eq!(mail.is_some(), name == "notifications");
        if let Some((_, url)) = mail {
            let host = url.trim_start_matches("smtp://").split(':').next().unwrap();
            assert!(Compose::read().containers().contains_key(host), "{url}");
        }
    }
}

#[tokio::test]
async fn each_service_has_a_container_and_every_topic_is_made() {
    let compose = Compose::read();
    let services = services().await;
    let workers = compose.workers();
    for service in &services {
        let container = workers.get(service.name()).unwrap_or_else(|| panic!("no {}", service.name()));
        assert_eq!(texts(&container["command"]), ["run", "--service", service.name()]);
    }
    let running = workers.values().filter(|worker| texts(&worker["command"]).first() == Some(&"run"));
    assert_eq!(running.count(), services.len(), "no container for a service that does not exist");
    let made: BTreeSet<&str> = texts(compose.at("/services/topics/command"))[2..].iter().copied().collect();
    let needed: BTreeSet<&str> = services
        .iter()
        .flat_map(|service| {
            service.table().topics().chain(service.published_topics().iter().map(String::as_str))
        })
        .collect();
    assert_eq!(made, needed);
}

#[test]
fn what_containers_run_is_what_the_worker_understands() {
    for (name, worker) in Compose::read().workers() {
        let container = Container::of(worker);
        let verb = match worker.get("entrypoint") {
            Some(entrypoint) => texts(entrypoint)[1..].to_vec(),
            None => Vec::new(),
        };
        let command = texts(&worker["command"]);
        // With one more flag nothing is run, and a word that it does not know is still refused.
        let help = container.run(&[&verb[..], &command, &["--help"]].concat());
        assert!(help.status.success(), "{name}: {}", String::from_utf8_lossy(&help.stderr));
        if let Some(test) = worker["healthcheck"].get("test") {
            let [_, "worker", probe @ ..] = &texts(test)[..] else { panic!("{name}: {test}") };
            // Nobody listens here: it is asked all the same.
            let asked = container.run(probe);
            assert_eq!(asked.status.code(), Some(1), "{name}: {}", String::from_utf8_lossy(&asked.stderr));
        }
    }
}

#[test]
fn nothing_is_killed_while_it_may_still_drain() {
    for (name, worker) in Compose::read().workers() {
        let shown = Container::of(worker).run(&["config"]);
        let said = String::from_utf8_lossy(&shown.stdout).into_owned();
        let drain = said.lines().find_map(|line| line.strip_prefix("worker.drain_timeout = \"")).unwrap();
        let drain = seconds(drain.split('"').next().unwrap());
        assert!(seconds(worker["stop_grace_period"].as_str().unwrap()) > drain + LEAVE, "{name}");
    }
}

#[test]
fn everything_that_is_referred_to_is_there() {
    let compose = Compose::read();
    let folder = tempfile::tempdir().unwrap();
    let secrets = make_secrets(folder.path());
    for name in compose.names("secrets") {
        let file = compose.at(&format!("/secrets/{name}/file")).as_str().unwrap();
        let made = secrets.join(file.strip_prefix("secrets/").unwrap());
        let mode = made.metadata().unwrap_or_else(|_| panic!("{name} is not made")).permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{name}: containers have users of their own");
    }
    assert_eq!(secrets.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    let (volumes, all) = (compose.names("volumes"), compose.names("secrets"));
    let mut published = BTreeSet::new();
    for (name, container) in compose.containers() {
        let list = |key: &str| container.get(key).map(texts).unwrap_or_default();
        for secret in list("secrets") {
            assert!(all.iter().any(|known| known == secret), "{name}: {secret}");
        }
        for volume in list("volumes") {
            let source = volume.split(':').next().unwrap();
            let is_there = match source.strip_prefix("./") {
                // What is ours nobody may change.
                Some(file) => root().join("deploy").join(file).exists() && volume.ends_with(":ro"),
                None => volumes.iter().any(|known| known == source),
            };
            assert!(is_there, "{name}: {volume}");
        }
        for port in list("ports") {
            assert!(port.starts_with("127.0.0.1:") && published.insert(port), "{name}: {port}");
        }
        let text = container.to_string();
        for path in text.split("/run/secrets/").skip(1) {
            let secret = path.split(['"', ' ', ',']).next().unwrap();
            assert!(list("secrets").contains(&secret), "{name} is not given {secret}");
        }
        for (other, needed) in container.get("depends_on").and_then(Value::as_object).into_iter().flatten() {
            let other = compose.at(&format!("/services/{other}"));
            let healthy = needed["condition"] == "service_healthy";
            assert!(!healthy || other["healthcheck"]["test"].is_array(), "{name}: {other} tells no health");
        }
        let image = container["image"].as_str().unwrap();
        let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag.trim_start_matches('v'));
        assert!(
            tag.matches('.').count() >= 1 && tag.starts_with(|c: char| c.is_ascii_digit()),
            "{name}: {image}"
        );
    }
    for (name, worker) in compose.workers() {
        let context = root().join("deploy").join(worker["build"]["context"].as_str().unwrap());
        assert!(context.join(worker["build"]["dockerfile"].as_str().unwrap()).is_file(), "{name}");
    }
}

#[test]
fn the_broker_is_reachable_under_the_name_it_gives() {
    let compose = Compose::read();
    let setting = |name: &str| compose.at(&format!("/services/kafka/environment/{name}")).clone();
    let text = |name: &str| setting(name).as_str().unwrap().to_owned();
    let listeners = |name: &str| -> Vec<(String, String)> {
        let text = text(name);
        let pair =
            |listener: &str| listener.split_once("://").map(|(name, at)| (name.to_owned(), at.to_owned()));
        text.split(',').filter_map(pair).collect()
    };
    let (bound, told) = (listeners("KAFKA_LISTENERS"), listeners("KAFKA_ADVERTISED_LISTENERS"));
    for (name, at) in &told {
        let port = at.rsplit(':').next().unwrap();
        assert!(bound.contains(&(name.clone(), format!(":{port}"))), "{name}: {bound:?} and {told:?}");
    }
    let brokers = compose.at("/services/orders/environment/ONCEWISE__KAFKA__BROKERS").as_str().unwrap();
    assert!(told.contains(&(text("KAFKA_INTER_BROKER_LISTENER_NAME"), brokers.to_owned())), "{told:?}");
    let protocols = text("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP");
    for (name, _) in &bound {
        assert!(protocols.split(',').any(|pair| pair == format!("{name}:PLAINTEXT")), "{name}");
    }
    let (controller, port) =
        bound.iter().find(|(name, _)| *name == text("KAFKA_CONTROLLER_LISTENER_NAMES")).unwrap();
    assert!(!told.iter().any(|(name, _)| name == controller), "a controller is not advertised");
    let voter = format!("{}@kafka{port}", setting("KAFKA_NODE_ID"));
    assert_eq!(text("KAFKA_CONTROLLER_QUORUM_VOTERS"), voter);
    assert_eq!(text("CLUSTER_ID").len(), 22, "sixteen bytes in base64");
    let environment = compose.at("/services/kafka/environment").as_object().unwrap();
    for (name, value) in
        environment.iter().filter(|(name, _)| name.contains("REPLICATION") || name.contains("ISR"))
    {
        assert_eq!(value, 1, "{name}: there is one broker");
    }
}

#[test]
fn redis_forgets_nothing() {
    let compose = Compose::read();
    let command = texts(compose.at("/services/redis/command")).join(" ");
    for words in ["--maxmemory-policy noeviction", "--appendonly yes", "redis-server /run/secrets/redis.conf"]
    {
        assert!(command.contains(words), "{words} is missing in {command}");
    }
}
