//! TLS: certificates are looked at from both sides, and whatever does not fit is named.

use std::path::Path;
use std::process::{Command, Stdio};

use oncewise::config::{RedisSettings, Secret};
use oncewise::redis::RedisStore;
use oncewise::store::{DedupeStore, FaultKind, Layout, conformance};
use tempfile::TempDir;

use crate::adapter::Adapter;
use crate::server::{Server, free_port};
use crate::{SOON, claim, fails, is_won, request};

fn openssl(folder: &Path, words: &str) {
    let mut command = Command::new("openssl");
    let made = command.args(words.split(' ')).current_dir(folder).stderr(Stdio::piped()).output();
    let made = made.expect("openssl has to be installed");
    assert!(made.status.success(), "{words}: {}", String::from_utf8_lossy(&made.stderr));
}

/// An authority and what it has signed: a server at this address, one of another name, and a client.
fn certificates() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for authority in ["ca", "other"] {
        openssl(
            at,
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={authority} \
                 -keyout {authority}.key -out {authority}.pem"
            ),
        );
    }
    for (name, alternative) in [
        ("server", "IP:127.0.0.1,DNS:localhost"),
        ("stranger", "DNS:redis.example"),
        ("worker", "DNS:worker.example"),
    ] {
        std::fs::write(at.join("names"), format!("subjectAltName={alternative}\n")).unwrap();
        openssl(
            at,
            &format!(
                "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN={name} -keyout {name}.key \
                 -out {name}.csr"
            ),
        );
        openssl(
            at,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out {name}.pem"
            ),
        );
    }
    folder
}

/// A server that speaks TLS at the first port, and nothing else at the other.
async fn server(folder: &Path, name: &str, clients: &str) -> (Server, u16) {
    let (port, file) = (free_port(), |name: String| folder.join(name).display().to_string());
    let options = [
        ("--tls-port", port.to_string()),
        ("--tls-cert-file", file(format!("{name}.pem"))),
        ("--tls-key-file", file(format!("{name}.key"))),
        ("--tls-ca-cert-file", file("ca.pem".to_owned())),
        ("--tls-auth-clients", clients.to_owned()),
    ];
    let options: Vec<&str> = options.iter().flat_map(|(key, value)| [*key, value]).collect();
    (Server::start(&options).await, port)
}

fn settings(folder: &Path, place: &str) -> RedisSettings {
    RedisSettings {
        url: Secret::new(format!("rediss://{place}")),
        ca_file: Some(folder.join("ca.pem").display().to_string()),
        response_timeout: SOON,
        ..RedisSettings::default()
    }
}

fn open(settings: &RedisSettings) -> RedisStore {
    RedisStore::open(settings, "oncewise").unwrap()
}

#[tokio::test]
async fn the_contract_is_kept_over_tls() {
    let folder = certificates();
    let (server, port) = server(folder.path(), "server", "yes").await;
    let mut settings = settings(folder.path(), &format!("localhost:{port}"));
    let refused = fails(open(&settings).describe().await, FaultKind::Refused, "redis.certificate_file");
    assert!(refused.contains("redis.key_file"), "{refused}");
    settings.certificate_file = Some(folder.path().join("worker.pem").display().to_string());
    settings.key_file = Some(folder.path().join("worker.key").display().to_string());
    let adapter = Adapter::new(open(&settings), &server.url()).await;
    conformance::run(&adapter.keeping(&[Layout::Keys, Layout::Compact]), 0..50).await.unwrap();
}

#[tokio::test]
async fn who_is_not_believed_is_not_spoken_to() {
    let folder = certificates();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (plain, port) = server(folder.path(), "server", "no").await;
    let ours = settings(folder.path(), &format!("127.0.0.1:{port}"));
    is_won(claim(&open(&ours), &request("k")).await);

    let others = RedisSettings { ca_file: Some(at("other.pem")), ..ours.clone() };
    fails(claim(&open(&others), &request("k")).await, FaultKind::Refused, "redis.ca_file");
    // The authorities of this machine have not signed it either.
    let machine = RedisSettings { ca_file: None, ..ours.clone() };
    if let Ok(store) = RedisStore::open(&machine, "oncewise") {
        fails(claim(&store, &request("k")).await, FaultKind::Refused, "redis.ca_file");
    }
    let (_stranger, port) = server(folder.path(), "stranger", "no").await;
    let stranger = settings(folder.path(), &format!("127.0.0.1:{port}"));
    fails(claim(&open(&stranger), &request("k")).await, FaultKind::Refused, "a name that it is for");

    let without = settings(folder.path(), &format!("127.0.0.1:{}", plain.port()));
    let without = open(&without).describe().await.unwrap_err();
    assert!(without.message.contains("redis.url"), "{without}");
    for (key, settings) in [
        ("redis.ca_file", RedisSettings { ca_file: Some(at("missing.pem")), ..ours.clone() }),
        ("redis.ca_file", RedisSettings { ca_file: Some(at("ca.key")), ..ours.clone() }),
        ("fragment", RedisSettings { url: Secret::new("rediss://127.0.0.1/#insecure"), ..ours.clone() }),
        (
            "redis.certificate_file",
            RedisSettings {
                certificate_file: Some(at("worker.key")),
                key_file: Some(at("worker.key")),
                ..ours
            },
        ),
    ] {
        fails(RedisStore::open(&settings, "oncewise"), FaultKind::Refused, key);
    }
}
