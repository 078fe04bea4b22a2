//! Every command line in the README and in the guide is one that the binary takes.

use std::{fs, path::Path};

use clap::Parser;

use super::args::Args;

/// The lines of all blocks of code that begin with one of these.
fn command_lines() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_dir(root.join("guide/src")).unwrap().map(|entry| entry.unwrap().path());
    let pages = guide.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let mut lines = Vec::new();
    for page in pages.chain([root.join("README.md")]) {
        let text = fs::read_to_string(page).unwrap();
        let blocks = text.split("\n```").skip(1).step_by(2);
        let written = blocks.flat_map(str::lines).filter_map(|line| {
            let run = line.strip_prefix("cargo run ").and_then(|line| line.split_once("-- "));
            run.map(|(_, rest)| rest).or_else(|| line.strip_prefix("worker "))
        });
        lines.extend(written.map(str::to_owned));
    }
    lines
}

/// As a shell takes it apart: quotes hold words together, and `#` begins a comment.
fn words(line: &str) -> Vec<String> {
    let line = line.split(" #").next().unwrap_or_default();
    let quoted = line.split('"').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

#[test]
fn every_command_line_in_the_documents_is_one_that_the_binary_takes() {
    let lines = command_lines();
    assert!(lines.len() >= 12, "{lines:#?}");
    for line in lines {
        let parsed = Args::try_parse_from(["worker".to_owned()].into_iter().chain(words(&line)));
        assert!(parsed.is_ok(), "worker {line}\n{}", parsed.unwrap_err());
    }
}
