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
fn the_pure_parts_do_no_io_and_read_no_clock() {
    for name in [
        "src/pipeline/commit.rs",
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
    assert_eq!(makers, ["src/pipeline/batch/handled.rs", "src/pipeline/settle.rs"]);
}

#[test]
fn only_the_assignment_commits() {
    let commits = |text: &str| {
        code(text).any(|line| {
            [".store_offset", ".commit_consumer_state(", "commits::commit("]
                .iter()
                .any(|call| line.contains(call))
        })
    };
    assert_eq!(trespassers(commits, &["src/kafka/assignment.rs"]), [""; 0]);
    let moves = |text: &str| {
        code(text).any(|line| line.contains("consumer.commit(") || line.contains(".commit_message("))
    };
    // A rewind moves the offsets of a group without members.
    assert_eq!(trespassers(moves, &["src/kafka/log_answers.rs"]), [""; 0]);
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
        ["src", "tests", "fuzz", "handlers"].into_iter().flat_map(sources).map(|(_, text)| text).collect();
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
