//! The manifests: what pods are told is what the worker understands, and what objects name is there.

use std::collections::BTreeSet;
use std::fs;

use oncewise::telemetry::metrics::definitions;
use serde_json::{Value, json};

use crate::{
    compose::{Compose, Container},
    manifests::{Manifests, container, pod, selects},
    root, services,
};

/// Where the secrets are mounted.
const SECRETS: &str = "/run/secrets/oncewise";
/// What only those who run it in production know.
const THEIRS: [(&str, &str); 4] = [
    ("redis_url", "rediss://worker:password@redis.example.com:6379"),
    ("smtp_url", "smtp://shop:password@mail.example.com:587"),
    ("kafka_username", "worker"),
    ("kafka_password", "password"),
];

/// Both overlays.
pub(crate) fn overlays() -> [(&'static str, Manifests); 2] {
    Manifests::OVERLAYS.map(|overlay| (overlay, Manifests::render(overlay)))
}

#[tokio::test]
async fn each_service_has_a_deployment_of_its_own() {
    let services = services().await;
    let names: BTreeSet<&str> = services.iter().map(oncewise::Service::name).collect();
    for (overlay, manifests) in overlays() {
        let workers = manifests.workers();
        assert_eq!(workers.keys().copied().collect::<BTreeSet<_>>(), names, "{overlay}");
        for (service, deployment) in &workers {
            assert_eq!(container(deployment)["args"], json!(["run", "--service", service]));
            // Each Deployment, budget and policy is about its own pods.
            for (other, chosen) in &workers {
                let labels = &pod(chosen)["metadata"]["labels"];
                let is_own = selects(&deployment["spec"]["selector"], labels);
                assert_eq!(is_own, service == other, "{overlay}: {service} and the pods of {other}");
            }
            let labels = &pod(deployment)["metadata"]["labels"];
            let budgets = manifests.of_kind("PodDisruptionBudget");
            let own = budgets.values().filter(|budget| selects(&budget["spec"]["selector"], labels));
            assert_eq!(own.count(), 1, "{overlay}: {service}");
            for spread in pod(deployment)["spec"]["topologySpreadConstraints"].as_array().unwrap() {
                assert!(!spread["labelSelector"]["matchLabels"].as_object().unwrap().is_empty());
                assert!(selects(&spread["labelSelector"], labels), "{overlay}: {service}: {spread}");
            }
        }
    }
}

#[test]
fn the_worker_accepts_every_variable_of_its_pods_and_shows_its_value() {
    for (overlay, manifests) in overlays() {
        for (service, deployment) in manifests.workers() {
            let environment = manifests.environment(deployment);
            let theirs = if overlay == "production" { &THEIRS[..] } else { &[] };
            let container = Container::with(environment.clone().into_iter().collect(), SECRETS, theirs);
            let shown = container.run(&["config"]);
            let said = String::from_utf8_lossy(&shown.stdout).into_owned();
            let complaint = String::from_utf8_lossy(&shown.stderr).into_owned();
            assert!(shown.status.success(), "{overlay}: {service}: {said}{complaint}");
            for (variable, value) in environment.iter().filter(|(variable, _)| !variable.ends_with("_FILE")) {
                let line = said.lines().find(|line| line.ends_with(&format!("# {variable}")));
                let line =
                    line.unwrap_or_else(|| panic!("{service}: nothing comes from {variable} in\n{said}"));
                let value = value.strip_prefix(SECRETS).unwrap_or(value);
                assert!(line.contains(value), "{overlay}: {service}: {line}");
            }
        }
    }
}

#[test]
fn every_secret_that_pods_ask_for_is_made_or_asked_for() {
    for (overlay, manifests) in overlays() {
        let folder = tempfile::tempdir().unwrap();
        let made = crate::compose::make_secrets(folder.path());
        let said = fs::read_to_string(
            root().join(format!("deploy/kubernetes/overlays/{overlay}/kustomization.yaml")),
        );
        let said = said.unwrap();
        let there = |name: &str| match overlay {
            "dev" => made.join(name).is_file(),
            _ => said
                .lines()
                .take_while(|line| line.starts_with('#'))
                .flat_map(|line| line.split([' ', ',']))
                .any(|word| word.trim_end_matches('.') == name),
        };
        let text: String = manifests.all().iter().map(Value::to_string).collect();
        let mounted = format!("{SECRETS}/");
        let paths = text.split(&mounted).skip(1);
        let mut names: BTreeSet<&str> = paths.map(|rest| rest.split(['"', ' ']).next().unwrap()).collect();
        for authentication in manifests.of_kind("TriggerAuthentication").values() {
            let keys = authentication["spec"]["secretTargetRef"].as_array().unwrap().iter();
            names.extend(keys.map(|secret| secret["key"].as_str().unwrap()));
        }
        assert!(names.len() >= 5, "{overlay}: {names:?}");
        for name in names {
            assert!(there(name), "{overlay}: nobody is told of the secret {name}");
        }
    }
}

#[tokio::test]
async fn pods_are_added_for_age_and_for_the_lag_of_each_topic() {
    let manifests = Manifests::render("production");
    let metrics: BTreeSet<&str> = definitions::ALL.iter().map(|metric| metric.name).collect();
    let workers = manifests.workers();
    for service in services().await {
        let deployment = workers[service.name()];
        let target = &deployment["metadata"]["name"];
        let scaled = manifests.of_kind("ScaledObject").into_values();
        let scaled: Vec<&Value> =
            scaled.filter(|scaled| &scaled["spec"]["scaleTargetRef"]["name"] == target).collect();
        let [scaled] = scaled[..] else { panic!("{}: {scaled:?}", service.name()) };
        assert!(deployment["spec"].get("replicas").is_none(), "what KEDA has added would be taken away");
        let spec = &scaled["spec"];
        let down = &spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]["scaleDown"];
        assert!(down["stabilizationWindowSeconds"].as_u64() >= Some(300), "{down}");
        let triggers = spec["triggers"].as_array().unwrap();
        let of_type = |kind: &'static str| triggers.iter().filter(move |trigger| trigger["type"] == kind);
        let [age] = of_type("prometheus").collect::<Vec<_>>()[..] else { panic!("{triggers:?}") };
        let query = age["metadata"]["query"].as_str().unwrap();
        let words = query.split(|c: char| !c.is_ascii_lowercase() && c != '_');
        for metric in words.filter(|word| word.starts_with("oncewise_")) {
            assert!(metrics.contains(metric), "{metric} in {query}");
        }
        assert!(query.matches(&format!("{{service=\"{}\"", service.name())).count() >= 3, "{query}");
        let topics: BTreeSet<&str> =
            of_type("kafka").map(|trigger| trigger["metadata"]["topic"].as_str().unwrap()).collect();
        assert_eq!(topics, service.table().topics().collect(), "one for each topic");
        for trigger in of_type("kafka") {
            let metadata = &trigger["metadata"];
            assert_eq!(metadata["consumerGroup"], service.name());
            for advice in
                ["excludePersistentLag", "limitToPartitionsWithLag", "ensureEvenDistributionOfPartitions"]
            {
                assert_eq!(metadata[advice], "true", "{advice}");
            }
            let variable = metadata["bootstrapServersFromEnv"].as_str().unwrap();
            assert!(manifests.environment(deployment).contains_key(variable), "{variable}");
            let authentication = trigger["authenticationRef"]["name"].as_str().unwrap();
            assert!(manifests.of_kind("TriggerAuthentication").contains_key(authentication));
        }
    }
}

#[test]
fn for_development_the_images_and_topics_are_those_of_the_composition() {
    let (manifests, compose) = (Manifests::render("dev"), Compose::read());
    for name in ["kafka", "redis", "postgres"] {
        let there = &compose.at(&format!("/services/{name}"))["image"];
        assert_eq!(&container(manifests.of_kind("Deployment")[name])["image"], there);
        assert!(manifests.of_kind("Service").contains_key(name), "the secrets name it");
    }
    let worker = &compose.at("/services/orders")["image"];
    for deployment in manifests.workers().values() {
        assert_eq!(&container(deployment)["image"], worker);
    }
    let topics = container(manifests.of_kind("Job")["topics"]);
    let there = compose.at("/services/topics/command");
    assert_eq!(
        topics["args"][0].as_str(),
        there[0].as_str().map(|script| script.replace("$$", "$")).as_deref()
    );
    assert_eq!(topics["args"].as_array().unwrap()[1..], there.as_array().unwrap()[1..]);
}
