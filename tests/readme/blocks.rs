//! Every block of code in the README and in the guide is what it says it is.

use std::{fs, path::Path, process::Command};

use oncewise::config::{self, Flags, Sources};

use crate::pages::{blocks, guide, root};

/// All blocks of the README and of the guide, with their pages.
fn all() -> Vec<(String, String, String)> {
    let pages = guide().into_iter().chain([root().join("README.md")]);
    let of = |page: &Path| {
        let name = page.file_name().unwrap().to_str().unwrap().to_owned();
        blocks(page).into_iter().map(move |(language, lines)| (name.clone(), language, lines))
    };
    pages.flat_map(|page| of(&page).collect::<Vec<_>>()).collect()
}

#[test]
fn every_block_of_rust_is_compiled() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rust = all().into_iter().filter(|(_, language, _)| language.starts_with("rust"));
    let mut seen = 0;
    for (page, language, _) in rust {
        assert!(["rust", "rust,no_run"].contains(&&*language), "{page}: {language}");
        let path = if page == "README.md" { "../README.md" } else { &format!("../guide/src/{page}") };
        assert!(library.contains(&format!("include_str!({path:?})")), "src/lib.rs does not compile {page}");
        seen += 1;
    }
    assert!(seen >= 9, "the search finds blocks: {seen}");
}

/// Files that a configuration names are there, as they would be.
fn with_files(lines: &str, folder: &Path) -> String {
    for name in lines.split("\"/run/secrets/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        fs::write(folder.join(name), "name=value").unwrap();
    }
    lines.replace("/run/secrets", folder.to_str().unwrap())
}

#[test]
fn every_block_of_configuration_is_accepted() {
    let mut seen = 0;
    for (page, _, lines) in all().into_iter().filter(|(_, language, _)| language == "toml") {
        if lines.contains("[dev-dependencies]") {
            let manifest: toml::Table = lines.parse().unwrap();
            assert!(manifest["dev-dependencies"]["oncewise"]["features"].is_array(), "{page}");
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("default.toml"), with_files(&lines, folder.path())).unwrap();
        let sources = Sources::new(Flags::default(), [("", ""); 0]).in_folder(folder.path());
        let read = config::load::<()>(&sources);
        assert!(read.is_ok(), "{page}: {}\n{lines}", read.unwrap_err());
        seen += 1;
    }
    assert!(seen >= 5, "the search finds blocks: {seen}");
}

/// What it does there is for `tests/guide`, which runs whatever can be run here.
#[test]
fn every_block_for_a_shell_is_one_that_a_shell_reads() {
    let mut seen = 0;
    for (page, _, lines) in all().into_iter().filter(|(_, language, _)| language == "sh") {
        let read = Command::new("bash").args(["-n", "-c", &lines]).output().unwrap();
        assert!(read.status.success(), "{page}: {}\n{lines}", String::from_utf8_lossy(&read.stderr));
        seen += 1;
    }
    assert!(seen >= 15, "the search finds blocks: {seen}");
}

#[test]
fn every_block_says_what_it_is() {
    for (page, language, lines) in all() {
        let known = language.starts_with("rust") || ["toml", "sh", "text"].contains(&&*language);
        assert!(known, "{page}: {language:?}\n{lines}");
        // What can be run is not called a text, for then nobody would look at it.
        let is_run = language == "text" && lines.lines().any(|line| line.starts_with("worker "));
        assert!(!is_run, "{page}: \n{lines}");
    }
}
