//! Pages whose commands need what no test has: containers, a cluster, brokers that ask for rights, or the tests themselves.

use std::fs;

use crate::{page::Page, pages::root, shell::Shell};

#[tokio::test]
async fn secrets_are_made_as_the_guide_says() {
    let shell = Shell::new(&[]);
    let folder = shell.folder().join("deploy");
    fs::create_dir(&folder).unwrap();
    fs::copy(root().join("deploy/make-secrets"), folder.join("make-secrets")).unwrap();
    let mut page = Page::of("deploy.md", shell);
    page.runs("deploy/make-secrets", &[]).await;
    assert!(folder.join("secrets/admin_token").is_file());
    let containers =
        "no container engine is at hand; tests/deploy runs what the file says as plain processes";
    for command in [
        "up --build --detach",
        "run --rm produce",
        "ps",
        "exec payments worker status",
        "exec payments worker check",
        "down",
    ] {
        page.leaves(&format!("docker compose --file deploy/compose.yaml {command}"), containers);
    }
    let cluster = "no cluster is at hand; tests/deploy looks at every object";
    page.leaves("kubectl apply --kustomize deploy/kubernetes/overlays/dev", cluster);
    page.leaves("kubectl apply --kustomize deploy/kubernetes/overlays/production", cluster);
    page.ends().await;
}

#[tokio::test]
async fn rights_are_granted_as_the_guide_says() {
    let mut page = Page::of("security.md", Shell::new(&[]));
    for _ in 0..8 {
        page.leaves(
            "kafka-acls.sh",
            "tests/promises/rights.rs grants just these, on a broker that asks for rights",
        );
    }
    page.ends().await;
}

#[tokio::test]
async fn tests_are_run_as_the_guide_says() {
    let mut page = Page::of("development.md", Shell::new(&[]));
    for command in ["tests/run", "tests/run retry", "cargo test --lib"] {
        page.leaves(command, "it is what runs this, or a part of it");
    }
    page.ends().await;
}
