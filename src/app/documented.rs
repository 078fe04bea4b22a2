//! Every command in the README and in the guide is one that the binary takes.

use std::{fs, path::Path};

use clap::{Parser, error::ErrorKind};

use super::args::Args;

/// The README and the pages of the guide.
fn documents() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_dir(root.join("guide/src")).unwrap().map(|entry| entry.unwrap().path());
    let pages = guide.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.chain([root.join("README.md")]).map(|page| fs::read_to_string(page).unwrap()).collect()
}

/// The lines of all blocks of code that begin with one of these.
fn command_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for text in documents() {
        let blocks = text.split("\n```").skip(1).step_by(2);
        let written = blocks.flat_map(str::lines).filter_map(|line| {
            let run = line.strip_prefix("cargo run ").and_then(|line| line.split_once("-- "));
            run.map(|(_, rest)| rest).or_else(|| line.strip_prefix("worker "))
        });
        lines.extend(written.map(str::to_owned));
    }
    lines
}

/// What sentences call commands, without those that show what may be left out.
fn commands_in_sentences() -> Vec<String> {
    let mut commands = Vec::new();
    for text in documents() {
        let prose: String = text.split("\n```").step_by(2).collect();
        let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
        let named = spans.filter_map(|span| span.strip_prefix("worker ").map(str::to_owned));
        commands.extend(named.filter(|command| !command.contains(['[', '\\'])));
    }
    commands
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

#[test]
fn every_command_that_a_sentence_names_is_one_that_the_binary_knows() {
    let commands = commands_in_sentences();
    assert!(commands.len() >= 20, "{commands:#?}");
    for command in commands {
        let parsed = Args::try_parse_from(["worker".to_owned()].into_iter().chain(words(&command)));
        let Err(error) = parsed else { continue };
        // A sentence may leave out what has to be said.
        let is_short = matches!(
            error.kind(),
            ErrorKind::MissingRequiredArgument
                | ErrorKind::MissingSubcommand
                | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        assert!(is_short, "worker {command}\n{error}");
    }
}
