//! The endpoints answer as `openapi.json` says: each operation, each status, each field.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Desk, JSON, PATIENCE, TOKEN};
use crate::support::{
    http::{Answer, ask},
    schema::{problems, resolve},
    wait::until,
};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Every operation: its method, its path, what is said of it.
fn operations(description: &Value) -> Vec<(&str, &str, &Value)> {
    let mut found = Vec::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().iter().filter(|(key, _)| *key != "parameters");
        found.extend(methods.map(|(method, operation)| (method.as_str(), path.as_str(), operation)));
    }
    found
}

/// A path with something in the place of each parameter.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "none" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

/// What is not as described in an answer.
fn wrong(description: &Value, operation: &Value, answer: &Answer) -> Vec<String> {
    let Some(response) = operation["responses"].get(answer.status.to_string()) else {
        return vec![format!("the status {} is not described: {}", answer.status, answer.body)];
    };
    let schema = &resolve(description, response)["content"]["application/json"]["schema"];
    if schema.is_null() {
        return vec![format!("no JSON is described for {}", answer.status)];
    }
    problems(description, schema, &answer.json())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_described_whoever_asks() {
    let desk = Desk::of(1).await;
    let description = desk.json("/openapi.json").await;
    let operations = operations(&description);
    assert!(operations.len() >= 7, "{operations:?}");
    for (method, path, operation) in &operations {
        let (method, full) = (method.to_uppercase(), format!("/api/v1{}", filled(path)));
        let stranger = ask(desk.port, &method, &full, &[JSON], "{}").await.unwrap();
        assert_eq!(stranger.status, 401, "{method} {path}");
        // No file of any kind is what these may be taken for, and nobody keeps them.
        for headers in [&[JSON][..], &[]] {
            let answer = desk.ask(&method, &filled(path), headers, "{}").await;
            let wrong = wrong(&description, operation, &answer);
            assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
            assert!(answer.head.contains("x-content-type-options: nosniff"), "{answer:?}");
        }
    }
    // What is not described is not there.
    let paths: BTreeSet<&str> = operations.iter().map(|(_, path, _)| *path).collect();
    for path in paths {
        for method in METHODS {
            if !operations.iter().any(|(known, of, _)| (*known, *of) == (method, path)) {
                let answer = desk.ask(&method.to_uppercase(), &filled(path), &[JSON], "{}").await;
                assert_eq!(answer.status, 405, "{method} {path} is not described: {answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_to_tell_is_told_as_described() {
    let desk = Desk::of(2).await;
    desk.events(0, 20, "").await;
    desk.events(20, 22, r#","reject":true"#).await;
    desk.events(22, 24, r#","fail":1"#).await;
    desk.service("all to be settled", |service| service["consumed"] == 24 && service["in_flight"] == 0).await;
    let description = desk.json("/openapi.json").await;
    let check = |method: &str, path: &str, answer: &Answer| {
        let wrong = wrong(&description, &description["paths"][path][method], answer);
        assert!(wrong.is_empty(), "{method} {path}: {wrong:#?}");
        answer.json()
    };
    for path in ["/status", "/series"] {
        check("get", path, &desk.ask("GET", path, &[], "").await);
    }
    let partitions = format!("/series/{}/partitions", desk.pods.group);
    until("a sample with partitions", PATIENCE, async || {
        let answer = desk.ask("GET", &partitions, &[], "").await;
        let told = check("get", "/series/{service}/partitions", &answer);
        if told["partitions"].as_array().unwrap().is_empty() { Err(told) } else { Ok(()) }
    })
    .await;
    let order = json!({ "from": "1h ago", "to": "now" });
    let looks = json!({ "from": "1h ago", "to": "now", "dry_run": true });
    let looked = desk.ask("POST", "/replays", &[JSON], &looks.to_string()).await;
    assert_eq!(check("post", "/replays", &looked)["tally"]["already_done"], 22);
    let begun = desk.ask("POST", "/replays", &[JSON], &order.to_string()).await;
    assert_eq!(begun.status, 202, "{begun:?}");
    let id = check("post", "/replays", &begun)["id"].as_str().unwrap().to_owned();
    let waits = desk.ask("POST", "/replays", &[JSON, ("prefer", "respond-async")], &looks.to_string()).await;
    assert_eq!(waits.status, 202, "{waits:?}");
    check("post", "/replays", &waits);
    check("get", "/replays/{id}", &desk.ask("GET", &format!("/replays/{id}"), &[], "").await);
    let listed = check("get", "/replays", &desk.ask("GET", "/replays", &[], "").await);
    assert_eq!(listed["replays"].as_array().unwrap().len(), 2, "{listed}");
    let unlike = json!({ "from": "1h ago", "to": "then", "mode": "fast" });
    check("post", "/replays", &desk.ask("POST", "/replays", &[JSON], &unlike.to_string()).await);
    assert!(!listed.to_string().contains(TOKEN));
    let service = json!({ "service": desk.pods.group });
    let reason = json!({ "service": desk.pods.group, "reason": "a look", "handler": "obey" });
    let paused = check("post", "/pause", &desk.order("/pause", reason).await);
    assert_eq!(paused["scopes"][0]["handler"], "obey", "{paused}");
    check("post", "/resume", &desk.order("/resume", service.clone()).await);
    let fleet = check("get", "/fleet", &desk.ask("GET", "/fleet", &[], "").await);
    assert_eq!(fleet["services"][0]["paused"][0]["reason"], "a look", "{fleet}");
    let all = json!({ "service": desk.pods.group, "all": true });
    assert_eq!(check("post", "/resume", &desk.order("/resume", all).await)["paused"], json!([]));
    check("post", "/resume", &desk.order("/resume", service).await);
}
