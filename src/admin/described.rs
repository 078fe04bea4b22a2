//! The description of the endpoints has all of them, and no others.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    kafka::KafkaClient,
    store::MemoryStore,
    telemetry::{Health, Metrics},
};

fn description() -> Value {
    serde_json::from_str(include_str!("openapi.json")).unwrap()
}

#[tokio::test]
async fn every_path_is_described_and_no_other() {
    let stage = Stage {
        settings: Settings::default(),
        services: Vec::new(),
        parts: Parts {
            kafka: KafkaClient::new("127.0.0.1:1"),
            store: Arc::new(MemoryStore::default()),
            metrics: Metrics::new(),
            health: Health::default(),
        },
        handlers: Handle::current(),
        control: Handle::current(),
        crowd: Crowd::default(),
        board: Board::default(),
        seat: Seat::default(),
    };
    let api = Desk::new(stage, &CancellationToken::new()).api();
    let served: BTreeSet<String> = api.paths().iter().map(|path| (*path).to_owned()).collect();
    let described: BTreeSet<String> = description()["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(served, described);
}

/// Every `$ref` below a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").map(|to| to.as_str().unwrap().to_owned()));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn what_the_description_refers_to_is_there_and_used() {
    let description = description();
    let mut used = Vec::new();
    references(&description, &mut used);
    for reference in &used {
        let place = reference.strip_prefix('#').unwrap();
        assert!(description.pointer(place).is_some(), "{reference} is not there");
    }
    for (kind, parts) in description["components"].as_object().unwrap() {
        // Schemes are named by the requirement, which is no reference.
        for name in parts.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
            let place = format!("#/components/{kind}/{name}");
            assert!(used.contains(&place), "nobody refers to {place}");
        }
    }
}

#[test]
fn whatever_changes_something_says_so_in_its_description() {
    for (path, methods) in description()["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters")
        {
            let place = format!("{method} {path}");
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{place}");
            assert!(operation["responses"]["401"].is_object(), "{place} needs a token");
            if method == "post" {
                assert!(operation["requestBody"].is_object(), "{place} takes JSON");
                assert!(operation["responses"]["415"].is_object(), "{place} takes nothing else");
            }
        }
    }
}
