//! Which letters are meant. Conditions are given one by one, and all of them have to hold. Pure: the present is passed in.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Letter, groups::Group, sentence::sentence};
use crate::replay::Bound;

/// What may be written, for whoever wrote something else.
pub(crate) const ALLOWED: &str = "allowed are disposition=NAME[,NAME], handler=NAME[,NAME], group=ID (of `groups`), error=TEXT (as in \
                                  `groups`), error~TEXT (part of it), key=TEXT (of the event or of the record), partition=N[,N], \
                                  since=TIME and until=TIME (RFC 3339 with a zone, or how long ago: 2h)";

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    /// As a person wrote it.
    text: String,
    meant: Meant,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meant {
    Disposition(Vec<String>),
    Handler(Vec<String>),
    Group(String),
    Error(String),
    PartOfError(String),
    Key(String),
    Partition(Vec<i32>),
    Since(i64),
    Until(i64),
}

/// All conditions together; none at all means every letter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter(pub(crate) Vec<Condition>);

/// A text that is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no condition; {ALLOWED}")]
pub(crate) struct ConditionError(String);

impl Condition {
    /// Reads a condition as a person writes it, at the time `now`.
    pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Self, ConditionError> {
        let wrong = || ConditionError(text.to_owned());
        let at = text.find(['=', '~']).ok_or_else(wrong)?;
        let (name, value) = (text[..at].trim(), text[at + 1..].trim());
        if value.is_empty() {
            return Err(wrong());
        }
        let names = || value.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>();
        let meant = match (name, &text[at..=at]) {
            ("disposition", "=") => Meant::Disposition(names()),
            ("handler", "=") => Meant::Handler(names()),
            ("group", "=") => Meant::Group(value.to_owned()),
            ("error", "=") => Meant::Error(value.to_owned()),
            ("error", _) => Meant::PartOfError(value.to_lowercase()),
            ("key", "=") => Meant::Key(value.to_owned()),
            ("partition", "=") => {
                let numbers: Option<_> = names().iter().map(|number| number.parse().ok()).collect();
                Meant::Partition(numbers.ok_or_else(wrong)?)
            }
            ("since", "=") => Meant::Since(time(value, now).ok_or_else(wrong)?),
            ("until", "=") => Meant::Until(time(value, now).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(Self { text: text.to_owned(), meant })
    }

    fn holds(&self, letter: &Letter) -> bool {
        let told = &letter.told;
        let is_one_of =
            |names: &[String], name: &Option<String>| name.as_ref().is_some_and(|name| names.contains(name));
        match &self.meant {
            Meant::Disposition(names) => is_one_of(names, &told.disposition),
            Meant::Handler(names) => is_one_of(names, &told.handler),
            Meant::Group(id) => Group::id_of(letter) == *id,
            Meant::Error(text) => {
                let error = sentence(letter.error());
                error == *text || error == sentence(text)
            }
            Meant::PartOfError(text) => {
                let texts = [&told.error, &told.class, &told.chain];
                texts.into_iter().flatten().any(|told| told.to_lowercase().contains(text))
            }
            Meant::Key(key) => {
                told.dedupe_key.as_ref() == Some(key) || letter.key.as_deref() == Some(key.as_bytes())
            }
            Meant::Partition(numbers) => numbers.contains(&letter.place.partition),
            Meant::Since(time) => letter.written_ms().is_some_and(|written| *time <= written),
            Meant::Until(time) => letter.written_ms().is_some_and(|written| written < *time),
        }
    }
}

/// `2h`, or whatever a replay takes for a time.
fn time(text: &str, now: Timestamp) -> Option<i64> {
    if let Ok(since) = humantime::parse_duration(text) {
        return ago(since, now);
    }
    Bound::parse(text, now).ok()?.time()
}

fn ago(since: Duration, now: Timestamp) -> Option<i64> {
    Some(now.as_millisecond().saturating_sub(i64::try_from(since.as_millis()).ok()?))
}

impl Filter {
    /// All that is wrong comes at once.
    pub(crate) fn parse(texts: &[String], now: Timestamp) -> Result<Self, Vec<ConditionError>> {
        let mut problems = Vec::new();
        let conditions = texts
            .iter()
            .filter_map(|text| Condition::parse(text, now).map_err(|problem| problems.push(problem)).ok());
        let conditions = conditions.collect();
        if problems.is_empty() { Ok(Self(conditions)) } else { Err(problems) }
    }

    pub(crate) fn takes(&self, letter: &Letter) -> bool {
        self.0.iter().all(|condition| condition.holds(letter))
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Filter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|condition| &condition.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letters::{Format, Place, format::Told};

    fn now() -> Timestamp {
        "2026-01-31T12:00:00Z".parse().unwrap()
    }

    fn letter() -> Letter {
        let told = Told {
            handler: Some("charge".into()),
            disposition: Some("exhausted".into()),
            dedupe_key: Some("order-1".into()),
            error: Some("Timeout after 17 s".into()),
            chain: Some("socket: reset".into()),
            last_failure: Some("2026-01-31T10:30:00Z".parse().unwrap()),
            ..Told::default()
        };
        let (key, place) = (Some("user-7".into()), Place { partition: 3, offset: 42 });
        Letter { place, format: Format::Oncewise, told, bytes: Some(2), timestamp: Some(0), key }
    }

    fn takes(text: &str) -> bool {
        Condition::parse(text, now()).unwrap_or_else(|error| panic!("{error}")).holds(&letter())
    }

    #[test]
    fn each_condition_is_about_one_thing() {
        for text in [
            "disposition=exhausted",
            "disposition=rejected, exhausted",
            "handler=charge",
            "error~TIMEOUT",
            "error~socket",
            "error=Timeout after # s",
            "error=Timeout after 99 s",
            "key=order-1",
            "key=user-7",
            "partition=0,3",
            "since=2h",
            "since=2h ago",
            "since=2026-01-31T10:30:00Z",
            "until=1h",
            "until=2026-01-31T10:30:00.001Z",
        ] {
            assert!(takes(text), "{text}");
        }
        for text in [
            "disposition=rejected",
            "handler=refund",
            "error~reject",
            "error=Timeout",
            "key=order",
            "partition=4",
            "since=1h",
            "until=2h",
            "until=2026-01-31T10:30:00Z",
            "group=00000000",
        ] {
            assert!(!takes(text), "{text}");
        }
        assert!(takes(&format!("group={}", Group::id_of(&letter()))));
    }

    #[test]
    fn all_of_them_have_to_hold_and_without_any_every_letter_is_meant() {
        let filter = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
            Filter::parse(&texts, now()).unwrap()
        };
        assert!(filter(&[]).takes(&letter()));
        assert!(filter(&["handler=charge", "since=2h"]).takes(&letter()));
        assert!(!filter(&["handler=charge", "since=1h"]).takes(&letter()));
    }

    #[test]
    fn everything_that_is_no_condition_is_named_at_once_with_what_is_allowed() {
        let texts = ["", "handler", "handler=", "colour=red", "handler~ch", "since=yesterday", "partition=a"];
        let problems = Filter::parse(&texts.map(str::to_owned), now()).unwrap_err();
        assert_eq!(problems.len(), texts.len());
        for (text, problem) in texts.iter().zip(problems) {
            assert!(
                problem.to_string().starts_with(&format!("`{text}` is no condition; allowed are")),
                "{problem}"
            );
        }
    }
}
