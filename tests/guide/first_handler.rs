//! A project of one's own: it builds, its tests pass, and its handler is what the guide shows.

use std::{fs, path::Path, time::Duration};

use crate::{
    page::Page,
    pages::{blocks, root},
    shell::Shell,
    support::{
        kafka::{TestTopic, all_committed, brokers},
        redis::shared_url,
        unique,
        wait::until,
    },
};

/// The whole `src/main.rs` of the page.
fn shown() -> String {
    let blocks = blocks(&root().join("guide/src/first-handler.md"));
    let programs = blocks
        .into_iter()
        .filter(|(language, lines)| language.starts_with("rust") && lines.contains("fn main()"));
    programs.map(|(_, lines)| lines).next().expect("a program")
}

#[tokio::test]
async fn a_project_of_ones_own_builds_passes_its_tests_and_runs_the_first_handler() {
    let name = unique("invoices").replace('-', "_");
    let topic = TestTopic::named(&format!("{name}.issued"));
    let settings = [
        ("KAFKA__BROKERS", &*brokers()),
        ("REDIS__URL", &shared_url()),
        ("DEDUPE__PREFIX", &format!("t.{name}")),
        ("TOPICS__NAMES__INVOICES__ISSUED", topic.name()),
        ("TOPICS__AUDIT", &format!("{name}.audit")),
        ("TOPICS__CONTROL", &format!("{name}.control")),
        ("SERVICES__INVOICES__GROUP", &name),
    ];
    // On a machine that has built nothing of it yet, all that has other features than here is built first.
    let shell = Shell::always_at("first-handler", &settings).patient(Duration::from_secs(600));
    let project = shell.folder().parent().unwrap().join("invoices");
    let page = Page::of("first-handler.md", shell).with("invoices.issued", topic.name());
    let mut page = page.with("localhost:9092", &brokers());

    page.runs("cargo run -- new ../invoices", &["one handler and its test", "cargo test"]).await;
    page.runs("cd ../invoices", &[]).await;
    keep_versions(&project);
    let tests = ["one_welcome_for_each_user ... ok", "one_welcome_whatever_goes_wrong ... ok"];
    page.runs("cargo test", &tests).await;

    fs::write(project.join("src/main.rs"), shown()).unwrap();
    page.runs("kafka-topics.sh", &["Created topic"]).await;
    page.runs("cargo run -- check", &["fine", "Redis 7", "does not exist yet"]).await;
    page.goes_on("cargo run -- run").await;
    page.runs("invoice=", &[]).await;
    for _ in 0..2 {
        page.runs("echo \"$invoice\" | kcat", &[]).await;
    }
    all_committed(&name, &topic, Duration::from_secs(60)).await;
    until("its effect", Duration::from_secs(10), async || {
        let log = page.shell.log();
        if log.contains("ann owes 1200 cents") { Ok(()) } else { Err(log) }
    })
    .await;
    page.runs("cargo run -- dedupe show", &["done"]).await;
    page.runs("cargo run -- status", &["invoices (group ", "0 records wait", "works"]).await;
    assert_eq!(page.shell.log().matches("owes").count(), 1, "once: {}", page.shell.log());
    page.ends().await;
}

/// What is here already is what it is built with.
fn keep_versions(project: &Path) {
    fs::copy(root().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
}
