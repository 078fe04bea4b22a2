//! What `ARCHITECTURE.md` says about the structure is so, and every test that it names is there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below a folder, by its path from the root, with its text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "no sources in {folder}");
    found
}

/// The files of `src` that use something and may not.
fn trespassers(uses: impl Fn(&str) -> bool, allowed: &[&str]) -> Vec<String> {
    let files = sources("src").into_iter();
    files
        .filter(|(name, text)| uses(text) && !allowed.iter().any(|folder| name.starts_with(folder)))
        .map(|(name, _)| name)
        .collect()
}

/// Code, without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"))
}

#[test]
fn only_src_kafka_names_rdkafka() {
    let uses = |text: &str| code(text).any(|line| line.contains("rdkafka::"));
    assert_eq!(trespassers(uses, &["src/kafka/"]), [""; 0]);
    assert_ne!(trespassers(uses, &[]), [""; 0], "the search finds what is there");
}

#[test]
fn only_src_redis_names_redis() {
    let uses = |text: &str| {
        code(text).any(|line| {
            line.contains("::redis::") && !line.contains("crate::redis::") || line.starts_with("use redis::")
        })
    };
    assert_eq!(trespassers(uses, &["src/redis/"]), [""; 0]);
    assert_ne!(trespassers(uses, &[]), [""; 0], "the search finds what is there");
}

#[test]
fn only_one_file_names_opentelemetry() {
    let uses = |text: &str| code(text).any(|line| line.contains("opentelemetry"));
    assert_eq!(trespassers(uses, &["src/telemetry/spans/otlp.rs"]), [""; 0]);
    assert_ne!(trespassers(uses, &[]), [""; 0], "the search finds what is there");
}

#[test]
fn the_pure_parts_do_no_io_and_read_no_clock() {
    for name in [
        "src/pipeline/breaker/mod.rs",
        "src/pipeline/breaker/signs.rs",
        "src/pipeline/commit.rs",
        "src/pipeline/finished.rs",
        "src/pipeline/rate.rs",
        "src/pipeline/retry.rs",
        "src/kafka/start.rs",
        "src/store/record.rs",
        "src/store/remembered.rs",
        "src/redis/record.rs",
        "src/redis/resp.rs",
        "src/replay/bound.rs",
        "src/replay/tally.rs",
    ] {
        let text = fs::read_to_string(root().join(name)).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        for impure in ["Instant", "SystemTime", "now()", "async ", "std::fs", "std::net", "tokio", "rand::"] {
            assert!(!code.contains(impure), "{name} uses {impure}");
        }
    }
}

#[test]
fn only_the_way_of_a_record_makes_settled() {
    let makers: BTreeSet<String> = sources("src")
        .into_iter()
        .filter(|(_, text)| text.split("#[cfg(test)]").next().unwrap().contains("Settled::new("))
        .map(|(name, _)| name)
        .collect();
    let makers: Vec<&str> = makers.iter().map(String::as_str).collect();
    // One of them passes on what another owner of the partition has written down.
    assert_eq!(
        makers,
        ["src/pipeline/batch/handled.rs", "src/pipeline/finished.rs", "src/pipeline/settle.rs"]
    );
}

#[test]
fn only_the_assignment_commits() {
    let commits = |text: &str| {
        code(text).any(|line| {
            [".store_offset", ".commit_consumer_state(", "commits::commit"]
                .iter()
                .any(|call| line.contains(call))
        })
    };
    assert_eq!(trespassers(commits, &["src/kafka/committing.rs"]), [""; 0]);
    let moves = |text: &str| {
        let calls = ["consumer.commit(", "Consumer::commit(", ".commit_message("];
        code(text).any(|line| calls.iter().any(|call| line.contains(call)))
    };
    // A rewind moves the offsets of a group without members.
    assert_eq!(trespassers(moves, &["src/kafka/log_answers.rs", "src/kafka/commits.rs"]), [""; 0]);
    let rewinds = |text: &str| code(text).any(|line| line.contains("reader.commit("));
    assert_eq!(trespassers(rewinds, &["src/replay/rewind.rs"]), [""; 0]);
}

#[test]
fn handlers_use_only_what_authors_are_given() {
    for (name, text) in sources("handlers") {
        for inner in [
            "oncewise::pipeline",
            "oncewise::kafka",
            "oncewise::redis",
            "oncewise::store",
            "rdkafka::",
            "redis::",
        ] {
            assert!(!text.contains(inner), "{name} uses {inner}");
        }
    }
}

#[test]
fn every_test_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let tests: String =
        ["src", "tests", "handlers"].into_iter().flat_map(sources).map(|(_, text)| text).collect();
    let named: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| {
            word.matches('_').count() >= 3
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect();
    assert!(named.len() >= 20, "found only {named:?}");
    let missing: Vec<_> = named.iter().filter(|name| !tests.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

/// A row of the matrix of faults.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    number: usize,
    fault: String,
    expect: String,
    #[serde(default, rename = "core")]
    _core: bool,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    tests: Vec<String>,
}

#[derive(Debug, serde::Deserialize)]
struct Matrix {
    row: Vec<Row>,
}

/// Whether a test is where its name says: `target::module::name`, in a file of that module or of one around it.
fn is_there(test: &str, sources: &[(String, String)]) -> bool {
    let mut path: Vec<&str> = test.split("::").collect();
    let (target, name) = (path.remove(0), path.pop().unwrap_or_default());
    let folders = match target {
        "lib" => vec!["src", "handlers"],
        target => vec![target],
    };
    let places: Vec<String> = (0..=path.len())
        .flat_map(|depth| {
            let module = path[..depth].join("/");
            folders.iter().flat_map(move |folder| match (*folder, module.as_str()) {
                ("src" | "handlers", module) => {
                    vec![format!("{folder}/{module}.rs"), format!("{folder}/{module}/mod.rs")]
                }
                (target, "") => vec![format!("tests/{target}/main.rs")],
                (target, module) => {
                    vec![format!("tests/{target}/{module}.rs"), format!("tests/{target}/{module}/mod.rs")]
                }
            })
        })
        .collect();
    let is_test = |text: &str| text.contains(&format!("fn {name}("));
    sources.iter().any(|(file, text)| places.contains(file) && is_test(text))
}

#[test]
fn every_row_of_the_matrix_has_tests_that_are_there_or_a_reason() {
    let text = fs::read_to_string(root().join("tests/matrix/rows.toml")).unwrap();
    let matrix: Matrix = toml::from_str(&text).unwrap();
    let numbers: Vec<usize> = matrix.row.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=80).collect::<Vec<_>>());
    let sources: Vec<(String, String)> = ["src", "tests", "handlers"].into_iter().flat_map(sources).collect();
    for Row { number, fault, expect, reason, tests, .. } in &matrix.row {
        assert!(!tests.is_empty() || !reason.is_empty(), "row {number} has neither tests nor a reason");
        let missing: Vec<&String> = tests.iter().filter(|test| !is_there(test, &sources)).collect();
        assert!(missing.is_empty(), "row {number} names {missing:?}, which are not there");
        // `tests/matrix/run` reads them line by line, and writes a table of them.
        for text in [fault, expect, reason] {
            assert!(
                !text.contains(['|', '"', '\n']),
                "row {number} has a text that does not fit into the table"
            );
        }
    }
    assert!(!is_there("promises::crash::nothing_of_this_name", &sources), "the search finds everything");
}
