use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;
use crate::RetryPolicy;
use crate::config::{DedupeSettings, Settings};

fn shipped() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/default.toml")).unwrap()
}

/// The shipped file with every commented key and section switched on.
fn switched_on() -> String {
    let is_key = |line: &str| {
        let name = line.split_once(" = ").map_or("", |(name, _)| name);
        let plain = |c: char| c.is_ascii_lowercase() || "\"._".contains(c);
        (line.starts_with("[services.") && line.ends_with(']'))
            || (!name.is_empty() && name.chars().all(plain))
    };
    shipped()
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| is_key(rest)).unwrap_or(line).to_owned() + "\n")
        .collect()
}

#[test]
fn the_shipped_file_says_what_the_code_says() {
    let from_file = load_text(&shipped(), &[]).unwrap();
    let from_code = load_from(Flags::default(), &[], &tempfile::tempdir().unwrap()).unwrap();
    assert_eq!(from_file.app, from_code.app);
    let without_origins = |mut settings: Settings| {
        settings.lines.clear();
        settings
    };
    let in_code = without_origins(from_code.settings);
    assert_eq!(without_origins(from_file.settings), in_code);
    assert_eq!(in_code, Settings::default());
}

#[test]
fn the_shipped_file_shows_every_key() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("default.toml"), switched_on()).unwrap();
    let sources = Sources::new(Flags::default(), [("", ""); 0]).in_folder(folder.path());
    let mut reader = Reader::new(sources.gather());
    Settings::read(&mut reader);
    Shop::read(&mut reader);
    let is_general = |key: &&String| !key.starts_with("services.") && !key.ends_with("_file");
    let missing: BTreeSet<&String> =
        reader.known().iter().filter(is_general).filter(|key| !reader.has(key)).collect();
    assert_eq!(missing, BTreeSet::new());
    assert!(reader.known().len() > 30, "the reading of keys must not have been skipped");
}

#[test]
fn the_commented_keys_are_allowed_and_true() {
    let settings = load_text(&switched_on(), &[]).unwrap().settings;
    let nothing = RetryPolicy { max_attempts: 0, ..RetryPolicy::default() };
    assert_eq!(settings.retry.over(nothing), RetryPolicy::default());
    assert_eq!(settings.dedupe.ttl, Some(DedupeSettings::DEFAULT_TTL));
    assert_eq!(settings.service("payments").worker.concurrency, 16);
    assert_eq!(settings.handler("payments", "charge").retry.max_attempts, Some(10));
    assert_eq!(settings.topics.physical("orders.created"), "prod.orders.created");
    assert_eq!(settings.kafka.properties.len(), 9);
}
