//! What others, who know the formats, say about `deploy/`.

use std::{io::Write, process::Command};

use serde_json::Value;

use crate::{manifests::Manifests, root, tools};

#[test]
fn compose_accepts_the_composition() {
    let read = tools::run("bin/compose-config", &["deploy/compose.yaml"]);
    assert!(read.contains("payments:"), "{read}");
}

#[test]
fn a_linter_finds_nothing_in_the_dockerfile() {
    tools::run("python/bin/hadolint", &["--no-color", "deploy/Dockerfile"]);
}

#[test]
fn the_operator_of_prometheus_knows_the_alerts() {
    let made = Command::new(root().join("deploy/make-alerts")).output().unwrap();
    let alerts: Value = serde_saphyr::from_slice(&made.stdout).unwrap();
    tools::is_of_type(
        "IPrometheusRule",
        "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PrometheusRule",
        &alerts,
    );
    let shipped = std::fs::read_to_string(root().join("deploy/prometheus/rules.yaml")).unwrap();
    let shipped: Value = serde_saphyr::from_str(&shipped).unwrap();
    assert_eq!(alerts["spec"], shipped);
}

#[test]
fn kubernetes_and_its_operators_know_every_object() {
    for overlay in Manifests::OVERLAYS {
        let mut known = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
        let manifests = Manifests::render(overlay);
        for object in manifests.all() {
            let (version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
            let package = match version.split_once('/').map_or("", |(group, _)| group) {
                "keda.sh" => "keda",
                "monitoring.coreos.com" => "prometheus-operator",
                _ => {
                    write!(known, "---\n{object}\n").unwrap();
                    continue;
                }
            };
            let module = format!("@kubernetes-models/{package}/{version}/{kind}");
            tools::is_of_type(&format!("I{kind}"), &module, object);
        }
        let file = known.path().to_str().unwrap();
        // By its module: the folder has moved since its scripts were written.
        tools::run("python/bin/python", &["-m", "kubernetes_validate", "--strict", "--quiet", file]);
    }
}
