//! What stands in the control topic: small JSON values with a version, each under a key that says what it is about.
//! Nothing in it can be run, and whatever is not exactly that is left aside.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::scope::{Scope, is_name};
use crate::Record;

/// The version of all values.
const VERSION: u32 = 1;
/// Longer values are none of ours, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;
/// Longer texts are cut, in characters.
const LONGEST_TEXT: usize = 500;
const POD: &str = "pod/";

/// One record of the control topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Paused(Scope, Pause),
    Resumed(Scope),
    /// A pod is there, and how it is.
    Pod(String, PodReport),
    /// A pod has ended in order.
    Left(String),
}

/// Why something is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pause {
    /// Tells it from another pause of the same.
    pub(crate) id: String,
    /// What the configuration of whoever paused calls it.
    pub(crate) service: String,
    pub(crate) who: String,
    pub(crate) at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// How a pod is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PodReport {
    /// The machine it runs on.
    pub(crate) host: String,
    pub(crate) version: String,
    pub(crate) started_at: Timestamp,
    /// It does as everything below this offset of the control topic says.
    pub(crate) read_to: i64,
    pub(crate) services: Vec<ServiceReport>,
}

/// How one service of a pod is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceReport {
    pub(crate) service: String,
    pub(crate) group: String,
    /// The keys of what is paused in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) paused: Vec<String>,
    /// Taken in, and not settled.
    pub(crate) in_flight: u64,
    /// The age of the oldest record that is not settled.
    pub(crate) oldest_seconds: f64,
    /// Something waits, and how old it is is not known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) oldest_unknown: bool,
    /// By topic.
    #[serde(default)]
    pub(crate) partitions: BTreeMap<String, Vec<i32>>,
    /// How the breakers of its handlers are, where they are not closed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) breakers: BTreeMap<String, String>,
    /// Why it is not ready, if it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) trouble: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u32,
    #[serde(flatten)]
    value: T,
}

impl Pause {
    /// What the key says besides.
    pub(crate) fn text(&self) -> String {
        let reason = self.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
        format!("by {} since {:.0}{reason}", self.who, self.at)
    }
}

impl Said {
    /// Key and value of its record; no value takes away what was said under that key.
    pub(crate) fn write(&self) -> Result<(String, Option<Vec<u8>>), serde_json::Error> {
        Ok(match self {
            Self::Paused(scope, pause) => (scope.key(), Some(versioned(pause)?)),
            Self::Resumed(scope) => (scope.key(), None),
            Self::Pod(pod, report) => (format!("{POD}{pod}"), Some(versioned(report)?)),
            Self::Left(pod) => (format!("{POD}{pod}"), None),
        })
    }

    /// What a record says; otherwise why it is left aside.
    pub(crate) fn read(record: &Record) -> Result<Self, String> {
        let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
        let value = record.value.as_deref();
        if let Some(value) = value.filter(|value| value.len() > LONGEST) {
            return Err(format!(
                "its value has {} bytes, and none of ours has more than {LONGEST}",
                value.len()
            ));
        }
        if let Some(pod) = key.strip_prefix(POD).filter(|pod| is_name(pod)) {
            return Ok(match value {
                None => Self::Left(pod.to_owned()),
                Some(value) => Self::Pod(pod.to_owned(), parsed(value)?),
            });
        }
        let Some(scope) = Scope::of_key(key) else {
            return Err("its key is none of ours".to_owned());
        };
        Ok(match value {
            None => Self::Resumed(scope),
            Some(value) => {
                let mut pause: Pause = parsed(value)?;
                pause.who = plain(&pause.who);
                pause.reason = pause.reason.as_deref().map(plain);
                Self::Paused(scope, pause)
            }
        })
    }
}

/// A text on one line, as long as it may be: it goes to terminals and logs.
pub(crate) fn plain(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn versioned(value: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    serde_json::to_vec(&Versioned { v: VERSION, value })
}

fn parsed<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    #[derive(Deserialize)]
    struct Version {
        v: u32,
    }
    match serde_json::from_slice(value) {
        Ok(Version { v: VERSION }) => {}
        Ok(Version { v }) => return Err(format!("it has version {v}, and this program knows {VERSION}")),
        Err(_) => return Err("its value is none of ours".to_owned()),
    }
    let value: Versioned<T> = serde_json::from_slice(value).map_err(|_| "its value is none of ours")?;
    Ok(value.value)
}

/// What is read is written as it was read, and goes to a terminal as it is.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzz(record: &Record) {
    let said = match Said::read(record) {
        Ok(said) => said,
        Err(why) => return crate::fuzzing::quotes_nothing(&why),
    };
    if let Said::Paused(_, pause) = &said {
        assert!(!pause.text().contains(char::is_control), "{pause:?}");
    }
    let Ok((key, value)) = said.write() else { return };
    let again = Record { key: Some(key.into()), value: value.map(Into::into), ..record.clone() };
    let again = Said::read(&again);
    // Fractions of seconds need not be the same to the last digit.
    assert!(again.as_ref() == Ok(&said) || again.is_ok() && matches!(said, Said::Pod(..)), "{again:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record((key, value): (impl Into<Vec<u8>>, Option<Vec<u8>>)) -> Record {
        Record {
            topic: "control".into(),
            partition: 0,
            offset: 7,
            timestamp: None,
            key: Some(key.into().into()),
            value: value.map(Into::into),
            headers: Vec::new(),
        }
    }

    fn pause() -> Pause {
        Pause {
            id: "a".to_owned(),
            service: "payments".to_owned(),
            who: "ann@host".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            reason: Some("the bank is away".to_owned()),
        }
    }

    fn report() -> PodReport {
        PodReport {
            host: "host".to_owned(),
            version: "0.1.0".to_owned(),
            started_at: Timestamp::UNIX_EPOCH,
            read_to: 3,
            services: vec![ServiceReport { service: "payments".to_owned(), ..ServiceReport::default() }],
        }
    }

    #[test]
    fn everything_is_read_as_it_was_written() {
        for said in [
            Said::Paused(Scope::of("payments"), pause()),
            Said::Resumed(Scope::of("payments")),
            Said::Pod("host-1".to_owned(), report()),
            Said::Left("host-1".to_owned()),
        ] {
            assert_eq!(Said::read(&record(said.write().unwrap())), Ok(said));
        }
    }

    #[test]
    fn what_is_unknown_damaged_or_too_long_is_left_aside() {
        let whole = Said::Paused(Scope::of("payments"), pause()).write().unwrap().1.unwrap();
        let later = String::from_utf8(whole.clone()).unwrap().replace("\"v\":1", "\"v\":2");
        for (key, value, why) in [
            ("pause/payments", b"{".to_vec(), "none of ours"),
            ("pause/payments", br#"{"v":1}"#.to_vec(), "none of ours"),
            ("pause/payments", b"null".to_vec(), "none of ours"),
            ("pause/payments", later.into_bytes(), "version 2"),
            ("run/rm", whole.clone(), "its key"),
            ("pod/", whole.clone(), "its key"),
            ("pod/x", whole.clone(), "none of ours"),
            ("pause/payments", vec![b' '; LONGEST + 1], "65537 bytes"),
        ] {
            let why_not = Said::read(&record((key, Some(value)))).unwrap_err();
            assert!(why_not.contains(why), "{key}: {why_not}");
        }
        assert!(Said::read(&record((vec![0xff], None))).is_err());
    }

    #[test]
    fn no_text_breaks_a_line_or_a_terminal() {
        let pause = Pause { reason: Some(format!("a\u{1b}[2J\nb{}", "c".repeat(1000))), ..pause() };
        let said = Said::read(&record(Said::Paused(Scope::of("p"), pause).write().unwrap()));
        let Ok(Said::Paused(_, Pause { reason: Some(reason), .. })) = said else { panic!("{said:?}") };
        assert!(reason.starts_with("a [2J b") && reason.chars().count() == LONGEST_TEXT);
    }
}
