//! Every command of the README and of the guide is run, in the order of its page, by a shell on a real Kafka and a real
//! Redis. Start it with `tests/run`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../readme/pages.rs"]
mod pages;
#[path = "../support/mod.rs"]
mod support;

mod first_handler;
mod looking_after;
mod others;
mod page;
mod past;
mod practice;
mod programs;
mod shell;
mod shop;

/// The binary under test.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");

/// The files in which pages are played.
const PLAYS: [&str; 5] = [
    include_str!("first_handler.rs"),
    include_str!("looking_after.rs"),
    include_str!("others.rs"),
    include_str!("past.rs"),
    include_str!("practice.rs"),
];

#[test]
fn every_page_with_commands_is_played() {
    let mut seen = 0;
    for page in pages::guide().into_iter().chain([pages::root().join("README.md")]) {
        if pages::blocks(&page).iter().any(|(language, _)| language == "sh") {
            let name = page.file_name().unwrap().to_str().unwrap();
            let play = format!("Page::of(\"{name}\"");
            assert!(PLAYS.iter().any(|file| file.contains(&play)), "nobody plays {name}");
            seen += 1;
        }
    }
    assert!(seen >= 11, "the search finds pages: {seen}");
}
