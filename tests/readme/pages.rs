//! The documents as the tests look at them: their prose, and their blocks of code.
#![allow(dead_code, reason = "every test binary that includes it uses its part")]

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository's folder, from whichever package the tests are compiled.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("guide/src").is_dir()).unwrap()
}

/// The pages of the guide, its contents among them.
pub(crate) fn guide() -> Vec<PathBuf> {
    let guide = fs::read_dir(root().join("guide/src")).unwrap().map(|entry| entry.unwrap().path());
    guide.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The guide, and what lies at the top.
pub(crate) fn pages() -> Vec<PathBuf> {
    let mut pages = guide();
    pages.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name)));
    pages
}

/// The text without blocks of code.
pub(crate) fn prose(page: &Path) -> String {
    read(page).split("\n```").step_by(2).collect()
}

/// What each block of code says it is, with its lines.
pub(crate) fn blocks(page: &Path) -> Vec<(String, String)> {
    let text = read(page);
    let blocks = text.split("\n```").skip(1).step_by(2);
    let parts = blocks.map(|block| block.split_once('\n').unwrap_or((block, "")));
    parts.map(|(language, lines)| (language.to_owned(), format!("{lines}\n"))).collect()
}

fn read(page: &Path) -> String {
    format!("\n{}", fs::read_to_string(page).unwrap())
}
