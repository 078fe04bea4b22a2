//! The handler that the README shows, with its test: they run here, and are there word for word.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod careless;
mod links;
mod mailer;
mod welcome;

const README: &str = include_str!("../../README.md");
const WELCOME: &str = include_str!("welcome.rs");

#[test]
fn the_readme_shows_the_handler_and_its_test_as_they_run_here() {
    assert!(README.contains(&format!("```rust,ignore\n{WELCOME}```\n")), "README.md shows something else");
}

/// Lines that are neither blank, nor imports, nor comments.
fn written_lines(source: &str) -> usize {
    let counts =
        |line: &&str| !["use ", "//"].iter().any(|start| line.starts_with(start)) && !line.is_empty();
    source.lines().map(str::trim).filter(counts).count()
}

#[test]
fn a_handler_has_at_most_25_lines_and_its_test_at_most_15() {
    let (handler, test) = WELCOME.split_once("\nconst ANN").unwrap();
    let (handler, test) = (written_lines(handler), written_lines(test));
    assert!((10..=25).contains(&handler), "the handler: {handler} lines");
    assert!((5..=15).contains(&test), "its test: {test} lines");
}
