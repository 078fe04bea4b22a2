//! When pods are added: the queries that KEDA asks are asked of a Prometheus that has seen this and that.

use std::{collections::BTreeMap, fs, process::Command};

use serde_json::{Value, json};

use crate::manifests::Manifests;

/// What Prometheus has seen, and what KEDA is to hear.
type Case = (&'static str, &'static [(&'static str, &'static str)], u32);

/// Metrics of the service `it`, by their further labels; each stays as it is.
const CASES: [Case; 9] = [
    ("nobody has told anything yet", &[], 0),
    (
        "many events wait, the oldest for a minute and a half",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "90"),
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="1"}"#, "20"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "60"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="1"}"#, "60"),
        ],
        90,
    ),
    (
        "a single event is stuck, and others flow",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "12"),
        ],
        0,
    ),
    (
        "a partition changes hands, and two pods tell of it",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0",pod="x"}"#, "80"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0",pod="y"}"#, "80"),
        ],
        0,
    ),
    (
        "it is another service that has too much to do",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="other",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="other",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_oldest_unsettled_seconds{service="it:replay",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "0"),
        ],
        0,
    ),
    (
        "an event is stuck, and many others wait to be tried later",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "1"),
            (r#"oncewise_lag_records{service="it",topic="a.it.retry.1h",partition="0"}"#, "5000"),
        ],
        0,
    ),
    (
        "somebody has paused it",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "5000"),
            (r#"oncewise_paused{service="it",topic="a",handler="h"}"#, "1"),
        ],
        0,
    ),
    (
        "somebody has paused another one",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "300"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "5000"),
            (r#"oncewise_paused{service="it",topic="a",handler="h"}"#, "0"),
            (r#"oncewise_paused{service="other",topic="a",handler="h"}"#, "1"),
        ],
        300,
    ),
    (
        "one of its topics is paused, and has more to do than the other",
        &[
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="a",partition="0"}"#, "900"),
            (r#"oncewise_lag_records{service="it",topic="a",partition="0"}"#, "5000"),
            (r#"oncewise_paused{service="it",topic="a",handler="h"}"#, "1"),
            (r#"oncewise_oldest_unsettled_seconds{service="it",topic="b",partition="0"}"#, "60"),
            (r#"oncewise_lag_records{service="it",topic="b",partition="0"}"#, "200"),
            (r#"oncewise_paused{service="it",topic="b",handler="h"}"#, "0"),
        ],
        60,
    ),
];

/// What KEDA asks Prometheus, by the services that it scales.
fn queries() -> BTreeMap<String, String> {
    let manifests = Manifests::render("production");
    let scaled = manifests.of_kind("ScaledObject").into_iter();
    let query = |object: &Value| {
        let triggers = object["spec"]["triggers"].as_array().unwrap();
        let age = triggers.iter().find(|trigger| trigger["type"] == "prometheus").unwrap();
        age["metadata"]["query"].as_str().unwrap().to_owned()
    };
    scaled.map(|(service, object)| (service.to_owned(), query(object))).collect()
}

#[test]
fn pods_are_added_when_many_wait_and_not_for_one_that_is_stuck() {
    let queries = queries();
    assert_eq!(queries.len(), 3, "{queries:?}");
    let mut tests = Vec::new();
    for (service, query) in &queries {
        for (case, seen, hears) in CASES {
            let of_service = |text: &str| text.replace("\"it", &format!("\"{service}"));
            let series = seen
                .iter()
                .map(|(series, value)| json!({"series": of_service(series), "values": format!("{value}x5")}));
            let asked = json!({
                "expr": query,
                "eval_time": "3m",
                "exp_samples": [{"labels": "{}", "value": hears}],
            });
            tests.push(json!({
                "name": format!("{service}: {case}"),
                "interval": "1m",
                "input_series": series.collect::<Vec<_>>(),
                "promql_expr_test": [asked],
            }));
        }
    }
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), json!({"evaluation_interval": "1m", "tests": tests}).to_string()).unwrap();
    let asked = Command::new("promtool").args(["test", "rules"]).arg(file.path()).output().unwrap();
    let said = [asked.stdout, asked.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(asked.status.success(), "{said}");
}
