//! What `/status` and `/series` tell is so: as Kafka's own tools have it, and with the reason where something waits.

use serde_json::{Value, json};

use super::{Desk, PATIENCE};
use crate::support::{kafka::group_lag, wait::until};

/// The sentences about the service.
fn findings(service: &Value) -> Vec<String> {
    let findings = service["findings"].as_array().unwrap().iter();
    findings.map(|finding| format!("{}: {}", finding["severity"], finding["text"]).replace('"', "")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_overview_equals_what_kafkas_own_tools_say() {
    let desk = Desk::of(3).await;
    desk.events(0, 30, "").await;
    desk.service("all to be settled", |service| service["records"]["done"] == 30).await;
    // One event that does not end holds its partition; what is behind it is finished.
    desk.events(30, 31, r#","sleep_ms":600000"#).await;
    desk.events(31, 45, "").await;
    let shown = desk
        .service("the ends to be told", |service| {
            service["in_flight"] == 1 && service["lag_records"] == 5 && service["records"]["done"] == 44
        })
        .await;
    let told = group_lag(&desk.pods.group).await;
    assert_eq!(told.len(), 3, "{told:?}");
    for partition in told {
        let ours = &shown["partitions"][usize::try_from(partition.partition).unwrap()];
        let (committed, end) = (json!(partition.committed), json!(partition.end));
        assert_eq!((&ours["committed"], &ours["end"]), (&committed, &end), "{ours} {partition:?}");
        assert_eq!(ours["lag_records"], json!(partition.lag), "{ours} {partition:?}");
    }
    assert_eq!(shown["state"], "working", "{shown}");
    assert_eq!(findings(&shown), [""; 0]);

    let series = until("samples", PATIENCE, async || {
        let series = desk.json("/series").await;
        let lag = series["services"][0]["lag_records"].as_array().and_then(|lag| lag.last().cloned());
        if lag == Some(json!(5)) { Ok(series) } else { Err(series) }
    })
    .await;
    let times = series["at_ms"].as_array().unwrap().len();
    for column in ["lag_records", "oldest_unsettled_seconds", "settled_per_second"] {
        assert_eq!(series["services"][0][column].as_array().map(Vec::len), Some(times), "{column}: {series}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stuck_is_told_with_its_reason_until_it_goes_on() {
    let mut desk = Desk::of(1).await;
    desk.events(0, 5, "").await;
    desk.service("a start", |service| service["records"]["done"] == 5).await;
    desk.redis.stop().await;
    desk.events(5, 6, "").await;
    let is_degraded = |service: &Value| service["state"] == "degraded";
    let stuck = desk.service("the store to be missed", is_degraded).await;
    let said = findings(&stuck);
    let start = "error: the dedupe store cannot be used, so nothing new begins: ";
    assert!(said[0].starts_with(start), "{said:?}");
    let health = desk.json("/status").await["health"].clone();
    assert_eq!((&health["live"], &health["ready"]), (&json!(true), &json!(false)), "{health}");
    desk.redis.start_again().await;
    let well = desk.service("work to go on", |service| service["records"]["done"] == 6).await;
    until("nothing to be said any more", PATIENCE, async || {
        let service = desk.service("an answer", |_| true).await;
        if findings(&service).is_empty() { Ok(()) } else { Err((service, well.clone())) }
    })
    .await;
}
