//! The documents: what they show runs, what they point at is there. The handler of the README, with its test, runs here.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod blocks;
mod careless;
mod links;
mod pages;
mod welcome;

const README: &str = include_str!("../../README.md");
const WELCOME: &str = include_str!("welcome.rs");

#[test]
fn the_readme_shows_the_handler_and_its_test_as_they_run_here() {
    assert!(README.contains(&format!("```rust\n{WELCOME}```\n")), "README.md shows something else");
}

/// Lines that are neither blank, nor imports, nor comments.
fn written_lines(source: &str) -> usize {
    let counts =
        |line: &&str| !["use ", "//"].iter().any(|start| line.starts_with(start)) && !line.is_empty();
    source.lines().map(str::trim).filter(counts).count()
}

#[test]
fn a_handler_has_at_most_25_lines_and_its_test_at_most_15() {
    let between = |begin: &str, end: &str| {
        let (_, rest) = WELCOME.split_once(begin).unwrap();
        rest.split(end).next().unwrap()
    };
    let handler = between("\n/// What lies in the topic", "\n/// Stands for a mail gateway");
    let test = between("\nconst ANN", "no end");
    let (handler, test) = (written_lines(handler), written_lines(test));
    assert!((10..=25).contains(&handler), "the handler: {handler} lines");
    assert!((5..=15).contains(&test), "its test: {test} lines");
}
