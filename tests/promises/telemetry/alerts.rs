//! The alerts that are shipped: each is proven to fire and to clear, and each says what to do.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;

use super::list::{asked, promtool};
use crate::support::repository;

#[derive(Debug, Deserialize)]
struct Rules {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
struct Rule {
    alert: String,
    expr: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Cases {
    tests: Vec<Case>,
}

#[derive(Debug, Deserialize)]
struct Case {
    alert_rule_test: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
struct Expected {
    alertname: String,
    exp_alerts: Vec<serde_json::Value>,
}

fn file(name: &str) -> PathBuf {
    repository().join("deploy/prometheus").join(name)
}

fn read<T: serde::de::DeserializeOwned>(name: &str) -> T {
    serde_saphyr::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap()
}

fn rules() -> Vec<Rule> {
    read::<Rules>("rules.yaml").groups.into_iter().flat_map(|group| group.rules).collect()
}

fn check(args: &[&str], name: &str) {
    let path = file(name);
    promtool(&[args, &[path.to_str().unwrap()]].concat(), "").unwrap_or_else(|said| panic!("{name}: {said}"));
}

#[test]
fn every_alert_is_shown_to_fire_and_to_clear() {
    check(&["check", "rules"], "rules.yaml");
    check(&["check", "config"], "prometheus.yaml");
    check(&["test", "rules"], "rules_test.yaml");
    let mut shown: BTreeMap<String, Vec<bool>> = BTreeMap::new();
    for expected in read::<Cases>("rules_test.yaml").tests.into_iter().flat_map(|case| case.alert_rule_test) {
        shown.entry(expected.alertname).or_default().push(!expected.exp_alerts.is_empty());
    }
    for Rule { alert, .. } in rules() {
        let fires = shown.remove(&alert).unwrap_or_default();
        assert!(
            fires.windows(2).any(|pair| pair == [true, false]),
            "{alert} fires and clears in no case: {fires:?}"
        );
    }
    assert!(shown.is_empty(), "cases of alerts that do not exist: {shown:?}");
}

#[test]
fn every_alert_asks_for_what_there_is_and_says_what_to_do() {
    let guide = fs::read_to_string(repository().join("guide/src/alerts.md")).unwrap();
    let sections: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let rules = rules();
    assert!(rules.len() >= 12, "the reading of rules must not have been skipped");
    for Rule { alert, expr, labels, annotations } in &rules {
        assert!(!asked(expr).is_empty() || expr.contains("up{"), "{alert} asks for nothing of ours: {expr}");
        assert!(["page", "ticket"].contains(&labels["severity"].as_str()), "{alert}: {labels:?}");
        for (name, least) in [("summary", 20), ("description", 20)] {
            assert!(annotations[name].len() >= least, "{alert} has no {name}");
        }
        let anchor = format!("/guide/src/alerts.md#{}", alert.to_lowercase());
        assert!(annotations["runbook_url"].ends_with(&anchor), "{alert}: {}", annotations["runbook_url"]);
    }
    let alerts: Vec<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(sections, alerts, "the guide has a section for each alert, in their order");
}
