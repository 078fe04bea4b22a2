//! `deploy/kubernetes` as the tests look at it: rendered.

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use crate::tools;

pub(crate) struct Manifests(Vec<Value>);

impl Manifests {
    pub(crate) const OVERLAYS: [&str; 2] = ["dev", "production"];

    /// What `kubectl apply --kustomize` would send.
    pub(crate) fn render(overlay: &str) -> Manifests {
        static RENDERED: LazyLock<[Vec<Value>; 2]> = LazyLock::new(|| {
            Manifests::OVERLAYS.map(|overlay| {
                let folder = format!("deploy/kubernetes/overlays/{overlay}");
                let rendered = tools::run("bin/kustomize", &["build", &folder]);
                serde_saphyr::from_multiple(&rendered).unwrap()
            })
        });
        let which = Manifests::OVERLAYS.iter().position(|known| *known == overlay).unwrap();
        Manifests(RENDERED[which].clone())
    }

    pub(crate) fn all(&self) -> &[Value] {
        &self.0
    }

    /// The objects of a kind, by their names.
    pub(crate) fn of_kind(&self, kind: &str) -> BTreeMap<&str, &Value> {
        let found = self.0.iter().filter(|object| object["kind"] == kind);
        found.map(|object| (object["metadata"]["name"].as_str().unwrap(), object)).collect()
    }

    /// The Deployments of the worker's image, by the services that they run.
    pub(crate) fn workers(&self) -> BTreeMap<&str, &Value> {
        let deployments = self.of_kind("Deployment").into_values();
        let workers = deployments.filter_map(|deployment| {
            let args = container(deployment)["args"].as_array()?;
            (args[0] == "run").then(|| (args[2].as_str().unwrap(), deployment))
        });
        workers.collect()
    }

    /// What a container finds in its environment, the map of the configuration first.
    pub(crate) fn environment(&self, deployment: &Value) -> BTreeMap<String, String> {
        let container = container(deployment);
        let maps = self.of_kind("ConfigMap");
        let mut environment = BTreeMap::new();
        for source in container["envFrom"].as_array().into_iter().flatten() {
            let map = maps[source["configMapRef"]["name"].as_str().unwrap()];
            for (name, value) in map["data"].as_object().unwrap() {
                environment.insert(name.clone(), value.as_str().unwrap().to_owned());
            }
        }
        for variable in container.get("env").and_then(Value::as_array).into_iter().flatten() {
            let text = |key: &str| variable[key].as_str().unwrap().to_owned();
            environment.insert(text("name"), text("value"));
        }
        environment
    }
}

/// The pod of a Deployment or a Job.
pub(crate) fn pod(object: &Value) -> &Value {
    &object["spec"]["template"]
}

/// Its only container.
pub(crate) fn container(object: &Value) -> &Value {
    let containers = pod(object)["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "{object:#}");
    &containers[0]
}

/// Whether a selector's `matchLabels` choose what has these labels. None choose all.
pub(crate) fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    wanted.is_none_or(|wanted| wanted.iter().all(|(name, value)| labels.get(name) == Some(value)))
}
