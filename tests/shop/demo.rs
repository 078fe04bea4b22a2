//! `worker demo`, as somebody sees it who has nothing but the binary.

use std::collections::BTreeMap;
use std::time::Duration;

use handlers::sample::{Expected, SampleOrders};

use crate::{WORKER, support::process::Worker};

/// A demo of 500 records takes five seconds on a quiet machine, three of them for joining the groups.
const DEADLINE: Duration = Duration::from_secs(60);
const ORDERS: u64 = 500;

/// Runs the demo in an empty folder, which it must leave empty; what it said, and its exit code.
async fn demo(env: &[(&str, &str)]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new(WORKER);
    command.args(["demo", "--orders", &ORDERS.to_string()]).current_dir(&folder).envs(env.iter().copied());
    let mut worker = Worker::spawn(command);
    let code = worker.wait(DEADLINE).await.code();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "the demo leaves nothing behind");
    (code, worker.output())
}

/// The table: each service's counts by their column.
fn table(said: &str) -> BTreeMap<String, BTreeMap<String, u64>> {
    let rows = said.lines().filter(|line| line.starts_with('|') && !line.contains("---"));
    let mut rows = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    let head = rows.next().unwrap_or_else(|| panic!("no table in:\n{said}"));
    let counts = |row: &[&str]| {
        head.iter()
            .zip(row)
            .skip(1)
            .map(|(name, count)| ((*name).to_owned(), count.parse().unwrap()))
            .collect()
    };
    rows.map(|row| (row[0].to_owned(), counts(&row))).collect()
}

#[tokio::test]
async fn the_demo_adds_up_and_shows_nothing_but_the_demo() {
    let (code, said) = demo(&[]).await;
    assert_eq!(code, Some(0), "{said}");
    let Expected { orders, unaffordable, duplicates, undecodable, no_key } =
        SampleOrders { count: ORDERS, ..SampleOrders::default() }.expected();
    assert!(duplicates > 0 && unaffordable > 0 && undecodable + no_key > 0, "a demo with something to see");
    let mut table = table(&said);
    let settled = orders - unaffordable;
    for (service, rejected, receipts) in
        [("orders", 0, 0), ("payments", unaffordable, 0), ("notifications", 0, settled)]
    {
        let row = table.remove(service).unwrap_or_else(|| panic!("no {service} in:\n{said}"));
        let shown = ["consumed", "done", "duplicates", "dead-lettered"].map(|column| row[column]);
        let poison = undecodable + no_key;
        let expected = [ORDERS + receipts, orders - rejected + receipts, duplicates, rejected + poison];
        assert_eq!(shown, expected, "{service}");
        // The gateway is busy now and then; the others never fail.
        assert_eq!(row["attempts"] > row["done"] + rejected, service == "payments", "{service}: {row:?}");
        assert_eq!(row.len(), 5, "no columns of zeros: {row:?}");
    }
    assert!(table.is_empty(), "{table:?}");
    assert!(said.contains("Everything adds up: every service settled all of its records in "), "{said}");
    for noise in ["INFO", "WARN", "ERROR", "librdkafka", "Connection refused"] {
        assert!(!said.contains(noise), "{noise} in:\n{said}");
    }
}

#[tokio::test]
async fn the_demo_logs_when_it_is_asked_to() {
    let (code, said) = demo(&[("ONCEWISE__TELEMETRY__LOG_FILTER", "info")]).await;
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("the payment gateway is busy"), "{said}");
    assert!(!said.contains("Connection refused"), "its broker ends after its clients:\n{said}");
}

#[tokio::test]
async fn the_demo_needs_no_more_than_the_binary_whatever_the_configuration_says() {
    let (code, said) = demo(&[
        ("ONCEWISE__KAFKA__BROKERS", "nowhere.localhost:9092"),
        ("ONCEWISE__REDIS__URL", "redis://nowhere.localhost:6379"),
        ("ONCEWISE__SERVICES__PAYMENTS__GROUP", "prod-payments"),
        ("ONCEWISE__SHOP__OPENING_CREDIT_CENTS", "1"),
        ("ONCEWISE__DATABASE__URL", "sqlite:///no/such/folder/shop.db"),
    ])
    .await;
    assert_eq!(code, Some(0), "{said}");
}
