//! Where values come from: two files, the environment and flags, the later before the earlier.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::problem::{Origin, Problem};
use super::value::Value;

/// What the name of an environment variable begins with to be ours.
const PREFIX: &str = "ONCEWISE__";

/// Properties whose last word is really `file`; for all others `_FILE` in the environment says that the value
/// stands in a file.
const ENDS_IN_FILE: [&str; 3] = [
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
];

/// What the command line says about the configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--config DIR`: the folder of the files, which must then exist.
    pub config: Option<PathBuf>,
    /// `--profile NAME`: read `NAME.toml` after `default.toml`; it must then exist.
    pub profile: Option<String>,
    /// `--topic LOGICAL=PHYSICAL`, as often as given.
    pub topics: Vec<String>,
}

/// Everything a configuration is read from.
#[derive(Debug, Clone)]
pub struct Sources {
    flags: Flags,
    environment: Vec<(OsString, OsString)>,
    folder: PathBuf,
}

impl Sources {
    /// The folder `config` (or the one the flags name), these environment variables (others than `ONCEWISE__…`
    /// are left alone), these flags. A program passes `std::env::vars_os()`.
    pub fn new<K: Into<OsString>, V: Into<OsString>>(
        flags: Flags,
        environment: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let environment = environment.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { flags, environment, folder: PathBuf::from("config") }
    }

    /// Another folder than `config` for when no flag names one. It may be missing.
    #[must_use]
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// All values by their keys with dots, each from the last layer that has it.
    pub(super) fn gather(&self) -> (BTreeMap<String, Entry>, Vec<Problem>) {
        let mut layers = Layers::default();
        let folder = self.flags.config.as_deref().unwrap_or(&self.folder);
        if self.flags.config.is_some() && !folder.is_dir() {
            layers.refuse("--config", folder.display().to_string(), "there is no such folder");
        } else {
            layers.file(&folder.join("default.toml"));
            if let Some(profile) = &self.flags.profile {
                layers.profile(folder, profile);
            }
        }
        layers.environment(&self.environment);
        layers.topics(&self.flags.topics);
        (layers.entries, layers.problems)
    }
}

/// All values of one text.
#[cfg(feature = "fuzzing")]
pub(super) fn of_text(text: &str) -> (BTreeMap<String, Entry>, Vec<Problem>) {
    let mut layers = Layers::default();
    layers.text("text", text);
    (layers.entries, layers.problems)
}

/// A value, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// Counts up: a value of a later layer was meant to replace one of an earlier.
    pub(super) layer: usize,
}

#[derive(Default)]
struct Layers {
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
    layer: usize,
}

impl Layers {
    /// Reads a file if it is there, and says whether it is.
    fn file(&mut self, path: &Path) -> bool {
        self.layer += 1;
        let shown = path.display().to_string();
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return false,
            Err(error) => {
                self.refuse("", None, &format!("{shown}: cannot be read: {error}"));
                return true;
            }
        };
        self.text(&shown, &text);
        true
    }

    /// What stands in a file of this name.
    fn text(&mut self, shown: &str, text: &str) {
        let origin = |at: usize| Origin::File { path: shown.to_owned(), line: line_of(text, at) };
        let (table, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            // The message alone: the error as a whole would quote the line, and a secret with it.
            self.problems.push(Problem {
                key: String::new(),
                value: None,
                origin: Some(origin(error.span().map_or(0, |span| span.start))),
                message: error.message().to_owned(),
            });
        }
        if errors.is_empty() {
            self.table("", table.get_ref(), &origin);
        }
    }

    /// Tables become keys with dots, so that `a.b = 1`, `"a.b" = 1` and `b = 1` under `[a]` are the same.
    fn table(&mut self, prefix: &str, table: &DeTable<'_>, origin: &impl Fn(usize) -> Origin) {
        for (key, value) in table {
            let name = format!("{prefix}{}", key.get_ref());
            match value.get_ref() {
                DeValue::Table(table) => self.table(&format!("{name}."), table, origin),
                value => self.put(name, value.into(), origin(key.span().start)),
            }
        }
    }

    fn profile(&mut self, folder: &Path, profile: &str) {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if profile.is_empty() || !profile.chars().all(plain) {
            self.refuse("--profile", profile.to_owned(), "allowed are A-Z, a-z, 0-9, _ and -");
        } else if !self.file(&folder.join(format!("{profile}.toml"))) {
            let message = format!("there is no {profile}.toml in {}", folder.display());
            self.refuse("--profile", profile.to_owned(), &message);
        }
    }

    fn environment(&mut self, variables: &[(OsString, OsString)]) {
        self.layer += 1;
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let key = key_of(path);
            match value.to_str() {
                Some(value) => {
                    self.put(key, Value::Text(value.to_owned()), Origin::Environment(name.to_owned()));
                }
                None => self.refuse(name, None, "is not UTF-8"),
            }
        }
    }

    fn topics(&mut self, topics: &[String]) {
        self.layer += 1;
        for topic in topics {
            match topic.split_once('=') {
                Some((logical, physical)) if !logical.is_empty() => self.put(
                    format!("topics.names.{logical}"),
                    Value::Text(physical.to_owned()),
                    Origin::Flag("--topic".to_owned()),
                ),
                _ => self.refuse("--topic", topic.clone(), "allowed is LOGICAL=PHYSICAL"),
            }
        }
    }

    fn put(&mut self, key: String, value: Value, origin: Origin) {
        self.entries.insert(key, Entry { value, origin, layer: self.layer });
    }

    fn refuse(&mut self, key: &str, value: impl Into<Option<String>>, message: &str) {
        let value = value.into().map(|value| format!("{value:?}"));
        self.problems.push(Problem { key: key.to_owned(), value, origin: None, message: message.to_owned() });
    }
}

/// The key that an environment variable means, its prefix taken off.
fn key_of(path: &str) -> String {
    let key = path.to_lowercase().replace("__", ".");
    let Some(property) = key.strip_prefix("kafka.properties.") else {
        return key;
    };
    let property = property.replace('_', ".");
    match property.strip_suffix(".file") {
        Some(secret) if !ENDS_IN_FILE.contains(&property.as_str()) => {
            format!("kafka.properties.{secret}_file")
        }
        _ => format!("kafka.properties.{property}"),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
