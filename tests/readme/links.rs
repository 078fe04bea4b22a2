//! What the documents point at is there.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_dir(root.join("guide/src")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> =
        guide.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect();
    pages.extend(["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root.join(name)));
    pages
}

/// The text without blocks of code.
fn prose(page: &Path) -> String {
    let text = format!("\n{}", fs::read_to_string(page).unwrap());
    text.split("\n```").step_by(2).collect()
}

/// What headings can be reached by, as mdBook and code hosts make it of them.
fn anchors(page: &Path) -> BTreeSet<String> {
    let text = prose(page);
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_in_the_documents_leads_somewhere() {
    let mut seen = 0;
    for page in pages() {
        let text = prose(&page);
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{}: {link} is not there", page.display());
            assert!(
                anchor.is_empty() || anchors(&target).contains(anchor),
                "{}: {link}: there is no such heading",
                page.display()
            );
            seen += 1;
        }
    }
    assert!(seen >= 15, "the search finds links: {seen}");
}

#[test]
fn every_page_of_the_guide_is_in_its_contents() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("guide/src");
    let contents = fs::read_to_string(guide.join("SUMMARY.md")).unwrap();
    for page in pages().iter().filter(|page| page.starts_with(&guide) && !page.ends_with("SUMMARY.md")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(contents.contains(&format!("({name})")), "{name} is in no table of contents");
    }
}
