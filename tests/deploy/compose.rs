//! `deploy/compose.yaml` as the tests look at it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::{WORKER, root};

pub(crate) struct Compose(Value);

impl Compose {
    pub(crate) fn read() -> Compose {
        let text = std::fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
        Compose(serde_saphyr::from_str(&text).unwrap())
    }

    /// A part of the file, by the names that lead to it.
    pub(crate) fn at(&self, path: &str) -> &Value {
        self.0.pointer(path).unwrap_or_else(|| panic!("compose.yaml has no {path}"))
    }

    pub(crate) fn names(&self, section: &str) -> Vec<String> {
        self.at(&format!("/{section}")).as_object().unwrap().keys().cloned().collect()
    }

    pub(crate) fn containers(&self) -> BTreeMap<String, &Value> {
        self.at("/services").as_object().unwrap().iter().map(|(name, value)| (name.clone(), value)).collect()
    }

    /// The containers of the worker's image.
    pub(crate) fn workers(&self) -> BTreeMap<String, &Value> {
        let mut containers = self.containers();
        containers.retain(|_, container| container.get("build").is_some());
        assert!(containers.len() >= 4, "{containers:?}");
        containers
    }
}

/// The texts of a list.
pub(crate) fn texts(value: &Value) -> Vec<&str> {
    value
        .as_array()
        .unwrap_or_else(|| panic!("no list: {value}"))
        .iter()
        .map(|text| text.as_str().unwrap())
        .collect()
}

/// Such as `40s`.
pub(crate) fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("no seconds: {text}")))
}

/// What a container of the worker's image has: its environment, and the secrets where compose puts them.
pub(crate) struct Container {
    environment: Vec<(String, String)>,
    folder: TempDir,
}

impl Container {
    pub(crate) fn of(worker: &Value) -> Container {
        let variables = worker["environment"].as_object().unwrap().iter();
        let environment = variables.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()));
        Container::with(environment.collect(), "/run/secrets", &[])
    }

    /// With the secrets at `mounted`: those of the script that users are told to run, and these.
    pub(crate) fn with(
        environment: Vec<(String, String)>,
        mounted: &str,
        more: &[(&str, &str)],
    ) -> Container {
        let folder = tempfile::tempdir().unwrap();
        let secrets = make_secrets(folder.path());
        for (name, secret) in more {
            std::fs::write(secrets.join(name), secret).unwrap();
        }
        let there =
            |(name, value): (String, String)| (name, value.replace(mounted, secrets.to_str().unwrap()));
        Container { environment: environment.into_iter().map(there).collect(), folder }
    }

    /// Runs the real binary there, with the configuration that the image holds.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        let config = root().join("config");
        let mut command = Command::new(WORKER);
        command.arg("--config").arg(config).args(args).current_dir(&self.folder).env_clear();
        command.envs(self.environment.iter().map(|(name, value)| (name, value))).output().unwrap()
    }

    pub(crate) fn environment(&self) -> &[(String, String)] {
        &self.environment
    }
}

pub(crate) fn make_secrets(folder: &Path) -> std::path::PathBuf {
    let secrets = folder.join("secrets");
    let made = Command::new(root().join("deploy/make-secrets")).arg(&secrets).status().unwrap();
    assert!(made.success());
    secrets
}
