//! The first mistakes of an author, and that the compiler's answer names the way out.
//!
//! Each file of `tests/compile` is compiled as it stands. Its first lines say what comes of it: `// expect: …` is a
//! part of the compiler's answer, `// compiles` that there is none.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where cargo has put what this test is linked with.
fn dependencies() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().to_owned()
}

/// The library as it was built last before this test. There may be older builds, some with other features, and another may be
/// written at this moment for a project of its own.
fn library() -> PathBuf {
    let files = fs::read_dir(dependencies()).unwrap().map(|entry| entry.unwrap().path());
    let is_library = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap_or_default();
        name.starts_with("liboncewise-") && name.ends_with(".rlib")
    };
    let built = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    let this = built(&std::env::current_exe().unwrap());
    files
        .filter(|path| is_library(path) && built(path) <= this)
        .max_by_key(built)
        .expect("the library beside its tests")
}

/// Whether the file compiles, and the compiler's answer.
fn compile(file: &Path) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "--emit", "metadata", "--color", "never", "--out-dir"])
        .arg(folder.path())
        .arg("--extern")
        .arg(format!("oncewise={}", library().display()))
        .arg("-L")
        .arg(format!("dependency={}", dependencies().display()))
        .arg(file)
        .output()
        .expect("the compiler runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn the_compiler_names_the_way_out_of_the_first_mistakes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compile");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut right, mut wrong) = (0, 0);
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&file).unwrap();
        let expected: Vec<_> = text.lines().map_while(|line| line.strip_prefix("// expect: ")).collect();
        let (compiles, answer) = compile(&file);
        if text.starts_with("// compiles") {
            assert!(compiles && answer.is_empty(), "{name}:\n{answer}");
            right += 1;
        } else {
            assert!(!expected.is_empty(), "{name} does not say what to expect");
            assert!(!compiles, "{name} compiles");
            for sentence in expected {
                assert!(
                    answer.contains(sentence),
                    "{name} should be answered with\n{sentence}\nand was with\n{answer}"
                );
            }
            wrong += 1;
        }
    }
    assert!(right >= 1 && wrong >= 10, "{right} right and {wrong} wrong programs");
}
