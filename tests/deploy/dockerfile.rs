//! `deploy/Dockerfile` as the tests look at it.

use crate::root;

/// Its instructions, `\` joined, comments left out: name and rest.
pub(crate) fn instructions() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("deploy/Dockerfile")).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction =
        |line: &str| line.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()));
    joined.lines().filter_map(instruction).collect()
}

/// What follows each instruction of this name.
pub(crate) fn all(name: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == name).map(|(_, rest)| rest).collect()
}

/// What follows the last instruction of this name: the one that counts.
pub(crate) fn last(name: &str) -> String {
    all(name).pop().unwrap_or_else(|| panic!("no {name} in the Dockerfile"))
}

/// What is copied from the repository: sources and target.
pub(crate) fn copies() -> Vec<(Vec<String>, String)> {
    let from_here = all("COPY").into_iter().filter(|copy| !copy.starts_with("--from="));
    from_here
        .map(|copy| {
            let mut words: Vec<String> = copy.split_whitespace().map(str::to_owned).collect();
            let target = words.pop().unwrap();
            (words, target)
        })
        .collect()
}
