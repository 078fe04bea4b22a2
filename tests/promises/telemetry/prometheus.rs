//! A real Prometheus that reads one pod.

use std::{fs, process::Command, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{free_ports, http, process::Worker, repository, wait::until};

/// A Prometheus that asks every second, and knows the alerts that are shipped.
pub(super) struct Prometheus {
    port: u16,
    _process: Worker,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that asks whoever listens at this port, and waits until it has been answered.
    pub(super) async fn reads(target: u16) -> Prometheus {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_ports(1));
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [repository().join("deploy/prometheus/rules.yaml")],
            "scrape_configs": [{
                "job_name": "oncewise",
                "static_configs": [{"targets": [format!("127.0.0.1:{target}")]}],
            }],
        });
        let file = folder.path().join("prometheus.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--log.level=warn");
        let prometheus = Prometheus { port, _process: Worker::spawn(command), _folder: folder };
        until("Prometheus to read the pod", Duration::from_secs(60), async || {
            let up = prometheus.sum("up{job=\"oncewise\"}").await?;
            if up == 1.0 { Ok(()) } else { Err(format!("up is {up}")) }
        })
        .await;
        prometheus
    }

    /// The sum of what a query that answers with a vector finds.
    pub(super) async fn sum(&self, query: &str) -> Result<f64, String> {
        let data = self.get(&format!("query?query={}", encoded(query))).await?;
        let values = data["result"].as_array().into_iter().flatten();
        Ok(values.filter_map(|series| series["value"][1].as_str()?.parse::<f64>().ok()).sum())
    }

    /// What it has under a path of its API.
    pub(super) async fn get(&self, path: &str) -> Result<Value, String> {
        let (status, body) = http::get(self.port, &format!("/api/v1/{path}")).await?;
        let answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{status}, {error}: {body}"))?;
        if answer["status"] == "success" { Ok(answer["data"].clone()) } else { Err(body) }
    }
}

/// As a part of a query string.
pub(super) fn encoded(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}
