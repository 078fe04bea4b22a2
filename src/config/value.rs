//! One value as it was written, before anybody knows its type.

use std::borrow::Cow;
use std::fmt;

use toml::de::DeValue;

/// The longest text that a problem or a listing shows, in characters.
const SHOWN: usize = 120;

/// What a file, the environment or a flag can say. The environment and flags know texts only, so every reader
/// of numbers, flags and lists takes texts too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Flag(bool),
    List(Vec<Value>),
}

impl Value {
    /// The text, if it is one.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Anything but a list, as text.
    pub(crate) fn scalar(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Flag(flag) => Some(Cow::Owned(flag.to_string())),
            Self::List(_) => None,
        }
    }

    /// The integer, also when written as text.
    pub(crate) fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The flag, also when written as text.
    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Text(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The texts of a list, or of one text at its commas; empty ones are left out.
    pub(crate) fn list(&self) -> Option<Vec<String>> {
        let parts: Vec<&str> = match self {
            Self::Text(text) => text.split(',').collect(),
            Self::List(values) => values.iter().map(Value::text).collect::<Option<_>>()?,
            _ => return None,
        };
        Some(parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect())
    }
}

/// As TOML would write it, cut when long.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) if text.chars().count() > SHOWN => {
                let start: String = text.chars().take(SHOWN).collect();
                write!(f, "{start:?}…")
            }
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Integer(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::List(values) => {
                let values: Vec<String> = values.iter().map(Value::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

impl From<&DeValue<'_>> for Value {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            // An integer beyond 64 bits stays text: every range refuses it then and shows what was written.
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| Self::Text(number.to_string()), Self::Integer),
            DeValue::Float(number) => Self::Text(number.to_string()),
            DeValue::Boolean(flag) => Self::Flag(*flag),
            DeValue::Datetime(time) => Self::Text(time.to_string()),
            DeValue::Array(values) => Self::List(values.iter().map(|value| value.get_ref().into()).collect()),
            // Tables are flattened into keys before; here is only one inside a list, which no key allows.
            DeValue::Table(_) => Self::List(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_the_environment_are_read_as_what_they_say() {
        let text = |text: &str| Value::Text(text.to_owned());
        assert_eq!(text(" 5 ").integer(), Some(5));
        assert_eq!(text("true").flag(), Some(true));
        assert_eq!(text("a, b,,c ").list(), Some(vec!["a".into(), "b".into(), "c".into()]));
        assert_eq!(Value::Integer(5).flag(), None);
        assert_eq!(Value::List(vec![Value::Integer(5)]).list(), None);
    }

    #[test]
    fn a_long_text_is_cut_and_control_characters_are_escaped() {
        assert_eq!(Value::Text("a\n\u{1b}[31m".into()).to_string(), r#""a\n\u{1b}[31m""#);
        assert!(Value::Text("ä".repeat(500)).to_string().chars().count() < 130);
    }
}
