//! Effects that outlive the process which had them: how tests count what a killed worker did.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// How long a line is. That many fit into a page without a rest, so that no line lies in two: Linux copies a `write`
/// page by page, and whoever reads meanwhile, or a kill, may come between two of them.
const LINE: usize = 256;

/// An append-only file with one line for each effect: `id attempt token pid`, and spaces up to the line's length.
#[derive(Debug, Clone)]
pub struct Effects {
    path: PathBuf,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// What took effect; without white space.
    pub id: String,
    /// The handler's attempt, from 1.
    pub attempt: u32,
    /// The fencing token of the claim.
    pub token: u64,
    /// The process that did it.
    pub pid: u32,
}

impl Effects {
    /// The effects in `path`, which need not exist before the first one.
    pub fn at(path: impl Into<PathBuf>) -> Effects {
        Effects { path: path.into() }
    }

    /// Where they are, to tell another process.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds one effect of this process in one `write`, so that a kill leaves a whole line or none.
    pub fn add(&self, id: &str, attempt: u32, token: u64) {
        assert!(!id.is_empty() && !id.contains(char::is_whitespace), "{id:?} does not fit into a line");
        let line = format!("{id} {attempt} {token} {}", std::process::id());
        let line = format!("{line:0$}\n", LINE - 1);
        assert_eq!(line.len(), LINE, "{id:?} does not fit into a line");
        let mut file =
            OpenOptions::new().create(true).append(true).open(&self.path).expect("the effects' file");
        let written = file.write(line.as_bytes()).expect("an effect written");
        assert_eq!(written, line.len(), "an effect was cut off");
    }

    /// All effects so far, in their order.
    pub fn all(&self) -> Vec<Effect> {
        match fs::read_to_string(&self.path) {
            Ok(text) => text.lines().map(parse).collect(),
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(error) => panic!("{}: {error}", self.path.display()),
        }
    }

    /// How often each id took effect.
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for effect in self.all() {
            *counts.entry(effect.id).or_default() += 1;
        }
        counts
    }

    /// How many the process `pid` had.
    pub fn by(&self, pid: u32) -> usize {
        self.all().iter().filter(|effect| effect.pid == pid).count()
    }

    /// How often `id` took effect.
    pub fn count(&self, id: &str) -> usize {
        self.all().iter().filter(|effect| effect.id == id).count()
    }
}

fn parse(line: &str) -> Effect {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [id, attempt, token, pid] = fields[..] else { panic!("not an effect: {line:?}") };
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("not an effect: {line:?}"));
    Effect { id: id.into(), attempt: number(attempt) as u32, token: number(token), pid: number(pid) as u32 }
}
