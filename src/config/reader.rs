//! Reads values by key and remembers what was asked, what was answered and what was wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::problem::{Origin, Problem, Problems};
use super::sources::Entry;
use super::value::Value;

/// Hands out values by their keys with dots (`dedupe.ttl`). A value that is not allowed becomes a [`Problem`]
/// and reads as its default, so that one start names everything that is wrong. A key that nobody asked for is
/// unknown, which is a problem as well.
#[derive(Debug)]
pub struct Reader {
    pub(super) entries: BTreeMap<String, Entry>,
    known: BTreeSet<String>,
    lines: BTreeMap<String, Line>,
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

/// A key's effective value as it may be shown, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) shown: String,
    pub(super) origin: Origin,
}

/// What remains of a reader when all is well: the effective values and the warnings.
pub(super) type Read = (BTreeMap<String, Line>, Vec<String>);

impl Reader {
    pub(super) fn new((entries, problems): (BTreeMap<String, Entry>, Vec<Problem>)) -> Self {
        Self { entries, known: BTreeSet::new(), lines: BTreeMap::new(), problems, warnings: Vec::new() }
    }

    /// Adds what the single values do not show, such as two keys that contradict each other. `key` must have
    /// been read; its value and origin are added.
    pub fn problem(&mut self, key: &str, message: impl Into<String>) {
        let line = self.lines.get(key).cloned();
        let (value, origin) = line.map(|line| (line.shown, line.origin)).unzip();
        let problem = Problem { key: key.to_owned(), value, origin, message: message.into() };
        // Where an application looks at a key of the framework, both find the same.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// Adds something that is allowed and yet worth a word at every start.
    pub fn warn(&mut self, message: impl Into<String>) {
        self.warnings.push(message.into());
    }

    /// Whether any layer sets this key.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The keys below a section, without its name: `sasl.password` below `kafka.properties`.
    #[must_use]
    pub fn keys(&self, section: &str) -> Vec<String> {
        let prefix = format!("{section}.");
        self.entries.keys().filter_map(|key| key.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    /// The names of the tables right below a section, each once.
    #[must_use]
    pub fn tables(&self, section: &str) -> Vec<String> {
        let mut names: Vec<String> = self
            .keys(section)
            .iter()
            .filter_map(|key| key.split_once('.'))
            .map(|(name, _)| name.to_owned())
            .collect();
        names.dedup();
        names
    }

    /// Reads one key: marks it as known, records what is shown for it, and records a problem that says
    /// `allowed` when `parse` has no answer. `None` too when the key is not set.
    pub(super) fn find<T>(
        &mut self,
        key: &str,
        allowed: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        self.know(key);
        let entry = self.entries.get(key)?;
        let line = Line { shown: entry.value.to_string(), origin: entry.origin.clone() };
        let found = parse(&entry.value);
        self.show(key, line);
        if found.is_none() {
            self.problem(key, format!("allowed is {allowed}"));
        }
        found
    }

    /// [`find`](Self::find) with a default, which is then what is shown.
    pub(super) fn get<T>(
        &mut self,
        key: &str,
        default: T,
        show: impl FnOnce(&T) -> String,
        allowed: &str,
        parse: impl FnOnce(&Value) -> Option<T>,
    ) -> T {
        self.find(key, allowed, parse).unwrap_or_else(|| {
            if !self.has(key) {
                self.show(key, Line { shown: show(&default), origin: Origin::Default });
            }
            default
        })
    }

    pub(super) fn know(&mut self, key: &str) {
        self.known.insert(key.to_owned());
    }

    pub(super) fn show(&mut self, key: &str, line: Line) {
        self.lines.insert(key.to_owned(), line);
    }

    /// The keys that were asked for so far.
    #[cfg(test)]
    pub(super) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Ends the reading: what nobody asked for is a problem too.
    pub(super) fn finish(mut self) -> Result<Read, Problems> {
        for (key, entry) in &self.entries {
            if !self.known.contains(key) {
                self.problems.push(Problem {
                    key: key.clone(),
                    value: None,
                    origin: Some(entry.origin.clone()),
                    message: self.why_unknown(key),
                });
            }
        }
        if self.problems.is_empty() { Ok((self.lines, self.warnings)) } else { Err(Problems(self.problems)) }
    }

    fn why_unknown(&self, key: &str) -> String {
        let section = format!("{key}.");
        if self.known.iter().any(|known| known.starts_with(&section)) {
            return "is a section: it takes keys, not a value".to_owned();
        }
        let near = (key.chars().count() / 6).clamp(1, 3);
        self.known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, key), known))
            .min()
            .filter(|(distance, _)| *distance <= near)
            .map_or_else(
                || "unknown key".to_owned(),
                |(_, known)| format!("unknown key; did you mean `{known}`?"),
            )
    }
}
