//! `worker new`: what it writes is a project that builds, and what it refuses it explains.
//!
//! The project itself is a test of its own, `starter`: the same files, compiled with what lies here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// The binary under test.
const WORKER: &str = env!("CARGO_BIN_EXE_worker");

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What it ended with, and all that it said.
fn new(at: &Path, args: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(WORKER).arg("new").args(args).current_dir(at).output().unwrap();
    let said = [done.stdout, done.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (done.status.code(), said)
}

/// Every file below a folder, by its path from there.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap().map(|entry| entry.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => {
                    let text = fs::read_to_string(&entry).unwrap();
                    found.push((entry.strip_prefix(folder).unwrap().to_owned(), text));
                }
            }
        }
    }
    found.sort();
    found
}

#[test]
fn a_new_project_is_the_one_whose_tests_run_here() {
    let folder = tempfile::tempdir().unwrap();
    let framework = repository().to_str().unwrap();
    let (code, said) = new(folder.path(), &["order-mails", "--framework", framework]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("cd order-mails\n    cargo test\n"), "{said}");
    let project = folder.path().join("order-mails");
    let template = repository().join("src/app/new/template");
    let (written, meant) = (files(&project.join("src")), files(&template.join("src")));
    assert_eq!(written.len(), meant.len());
    for ((path, written), (_, meant)) in written.iter().zip(&meant) {
        // Services have no hyphens.
        let named = meant.replace("Service::new(\"starter\")", "Service::new(\"order_mails\")");
        assert_eq!(written, &named, "{}", path.display());
    }
    // All but the configuration of the formatter, which holds them to its defaults.
    assert_eq!(files(&project).len(), files(&template).len() - 1, "nothing is left out");
    assert!(files(&project).iter().all(|(_, text)| !text.contains("starter")));

    let cargo = |args: &[&str]| {
        let done = Command::new(env!("CARGO")).args(args).current_dir(&project).output().unwrap();
        assert!(done.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&done.stderr));
        done.stdout
    };
    cargo(&["fmt", "--check"]);
    // With the versions that lie here it finds everything, and takes the framework from where it was told.
    fs::copy(repository().join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    let metadata: Value =
        serde_json::from_slice(&cargo(&["metadata", "--offline", "--format-version", "1"])).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let found = packages.iter().find(|package| package["name"] == "oncewise").unwrap();
    assert_eq!(found["manifest_path"].as_str(), repository().join("Cargo.toml").to_str());
    let own = packages.iter().find(|package| package["name"] == "order-mails").unwrap();
    let testing =
        own["dependencies"].as_array().unwrap().iter().find(|needed| needed["kind"] == "dev").unwrap();
    assert_eq!((&testing["name"], &testing["features"][0]), (&"oncewise".into(), &"testing".into()));
}

#[test]
fn a_new_project_is_configured_by_its_own_file() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = new(folder.path(), &["mails"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("from the registry; --framework DIR takes it from a folder"), "{said}");
    let config = folder.path().join("mails/config");
    let shown = Command::new(WORKER).arg("--config").arg(config).arg("config").output().unwrap();
    let said = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    assert!(said.contains("worker.concurrency = 64"), "{said}");
    // Outside of the repository it is the published version.
    let manifest = fs::read_to_string(folder.path().join("mails/Cargo.toml")).unwrap();
    let version = concat!("oncewise = { version = \"", env!("CARGO_PKG_VERSION"), "\" }\n");
    assert!(manifest.contains(version), "{manifest}");
}

#[test]
fn within_the_repository_the_framework_is_the_one_that_lies_there() {
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("mails");
    let (code, said) = new(&repository().join("src"), &[project.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let manifest = fs::read_to_string(project.join("Cargo.toml")).unwrap();
    let path = format!("oncewise = {{ path = {:?} }}\n", repository().to_str().unwrap());
    assert!(manifest.contains(&path), "{manifest}");
}

#[test]
fn what_cannot_be_made_is_refused_with_what_is_allowed_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("taken")).unwrap();
    fs::write(folder.path().join("taken/mine"), "kept").unwrap();
    fs::write(folder.path().join("file"), "kept").unwrap();
    for (args, code, sentence) in [
        (&["taken"][..], 2, "taken is there already; allowed is the name of a folder that is not"),
        (&["Order Mails"], 2, "allowed are a-z, 0-9, - and _, beginning with a letter"),
        (&[".."], 2, "allowed are a-z"),
        (&["serde"], 2, "means something else to Rust or Cargo"),
        (&["mails", "--framework", "taken"], 2, "allowed is the folder of oncewise's own Cargo.toml"),
        (&["nowhere/mails"], 1, "nowhere/mails cannot be written"),
        (&["file/mails"], 1, "go to a folder that can, or name one: new PATH/mails"),
    ] {
        let (found, said) = new(folder.path(), args);
        assert_eq!(found, Some(code), "{args:?}: {said}");
        assert!(said.contains(sentence), "{args:?}: {said}");
    }
    let left: Vec<PathBuf> = files(folder.path()).into_iter().map(|(path, _)| path).collect();
    assert_eq!(left, [PathBuf::from("file"), PathBuf::from("taken/mine")]);
}
