//! What the documents point at is there.

use std::{collections::BTreeSet, fs, path::Path};

use crate::pages::{guide, pages, prose, root};

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
            // A book is read where the rest of the repository is not.
            let is_guide = page.starts_with(root().join("guide"));
            assert!(
                !is_guide || !file.contains('/'),
                "{}: {link} is not a page of the guide",
                page.display()
            );
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
    let contents = fs::read_to_string(root().join("guide/src/SUMMARY.md")).unwrap();
    for page in guide().iter().filter(|page| !page.ends_with("SUMMARY.md")) {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(contents.contains(&format!("({name})")), "{name} is in no table of contents");
    }
}
