//! The dashboard that is shipped asks for what there is, in PromQL that Prometheus reads.

use std::{collections::BTreeSet, fs};

use oncewise::telemetry::metrics::definitions::ALL;
use serde_json::{Value, json};

use super::list::{asked, promtool};
use crate::support::repository;

/// What no panel shows: the version.
const UNSHOWN: [&str; 2] = ["oncewise_build_info", "oncewise_store_up"];

fn dashboard() -> Value {
    let path = repository().join("deploy/grafana/oncewise.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Each query with the title of its panel, and with values in the place of Grafana's variables.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    let with_values = |query: String| {
        query.replace("$service", ".*").replace("$topic", ".*").replace("$__rate_interval", "1m")
    };
    targets.map(|(title, query)| (title, with_values(query))).collect()
}

#[test]
fn every_query_of_the_dashboard_asks_for_what_there_is() {
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 20, "the reading of queries must not have been skipped");
    let shown: BTreeSet<&str> = queries.iter().flat_map(|(_, query)| asked(query)).collect();
    let missing: Vec<&str> = ALL
        .iter()
        .map(|metric| metric.name)
        .filter(|name| !shown.contains(name) && !UNSHOWN.contains(name))
        .collect();
    assert!(missing.is_empty(), "no panel shows {missing:?}");

    // Prometheus takes queries by the file as rules only, and JSON is YAML.
    let rule = |(at, (_, query)): (usize, &(String, String))| json!({"record": format!("panel:{at}"), "expr": query});
    let rules: Vec<Value> = queries.iter().enumerate().map(rule).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = json!({"groups": [{"name": "panels", "rules": rules}]}).to_string();
    fs::write(file.path(), text).unwrap();
    let said = promtool(&["check", "rules", file.path().to_str().unwrap()], "");
    assert!(said.is_ok(), "{said:?} about {queries:#?}");
    assert!(!queries.iter().any(|(_, query)| query.contains('$')), "a variable without a value");
}

#[test]
fn every_panel_has_a_place_of_its_own_and_one_source() {
    let dashboard = dashboard();
    let number = |panel: &Value, name: &str| panel["gridPos"][name].as_u64().unwrap();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = &panel["title"];
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: an id twice");
        assert!(number(panel, "x") + number(panel, "w") <= 24, "{title}: too wide");
        for x in 0..number(panel, "w") {
            for y in 0..number(panel, "h") {
                let place = (number(panel, "x") + x, number(panel, "y") + y);
                assert!(taken.insert(place), "{title} lies over another panel");
            }
        }
        assert!(panel["type"] == "row" || panel["datasource"]["uid"] == "${datasource}", "{title}");
    }
    let provisioned =
        fs::read_to_string(repository().join("deploy/grafana/provisioning/datasources/prometheus.yaml"));
    let provisioned: Value = serde_saphyr::from_str(&provisioned.unwrap()).unwrap();
    let chosen = &dashboard["templating"]["list"][0]["current"]["value"];
    assert_eq!(&provisioned["datasources"][0]["uid"], chosen, "what is provisioned is what is shown first");
}
