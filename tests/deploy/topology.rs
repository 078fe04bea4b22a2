//! The composition at work, as plain processes: from an empty machine to settled orders, and down again.

use std::time::Duration;

use serde_json::Value;

use crate::{
    stage::Stage,
    support::{http, mail_server::MailServer, wait::until},
};

/// Until what was sent is settled everywhere.
const SETTLED: Duration = Duration::from_secs(60);
const SERVICES: [&str; 3] = ["orders", "payments", "notifications"];

/// The sum of a metric over all its labels but those of other topics.
async fn sum(port: u16, metric: &str) -> f64 {
    let (_, page) = http::get(port, "/metrics").await.unwrap();
    let lines = page
        .lines()
        .filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains("orders.created"));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

#[tokio::test]
async fn the_composition_works_as_plain_processes() {
    let mail = MailServer::start().await;
    let mut stage = Stage::set(mail.address.port());
    for service in SERVICES {
        stage.up(service).await;
    }
    stage.up("prometheus").await;
    for healthy in SERVICES.iter().chain(&["prometheus"]) {
        stage.healthy(healthy).await;
    }

    let count = 200.0;
    let sent = stage.run("produce", &["--count", "200", "--seed", "8", "--json"]).await;
    let sent: Value = serde_json::from_str(sent.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    assert_eq!(sent["records"].as_f64(), Some(count), "{sent}");
    for service in SERVICES {
        let port = stage.port(service, 9464);
        until(&format!("{service} to settle everything"), SETTLED, async || {
            let seen = (sum(port, "oncewise_records_total").await, sum(port, "oncewise_lag_records").await);
            if seen == (count, 0.0) { Ok(()) } else { Err(seen) }
        })
        .await;
    }

    assert!(!mail.mails().is_empty(), "who paid is told so");

    // The API is open to whoever has the secret, and to nobody else.
    let (console, token) = (stage.port("payments", 9465), stage.secret("admin_token"));
    let bearer = format!("Bearer {token}");
    for (authorization, status) in [(bearer.as_str(), 200), ("Bearer of no token at all", 401)] {
        let headers = [("Authorization", authorization)];
        let answer = http::ask(console, "GET", "/api/v1/replays", &headers, "").await.unwrap();
        assert_eq!(answer.status, status, "{answer:?}");
    }

    // Prometheus finds every worker, and says so in the words of the shipped alerts.
    let prometheus = stage.port("prometheus", 9090);
    until("Prometheus to have asked every worker", SETTLED, async || {
        let (_, answer) = http::get(prometheus, "/api/v1/query?query=sum(up)").await?;
        if answer.contains("\"3\"") { Ok(()) } else { Err(answer) }
    })
    .await;

    for service in SERVICES {
        stage.stop(service).await;
    }
}
