//! The JSON object of a structured CloudEvent, read and judged.

use std::{borrow::Cow, fmt};

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::SPEC_VERSION;
use crate::codec::explain;

/// What the object holds. Nothing is copied that can be borrowed.
#[derive(Debug, Default)]
pub(super) struct Envelope<'a> {
    /// In their order, without those that are null.
    pub(super) attributes: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) data_base64: Option<Cow<'a, str>>,
    /// What the specification forbids, of what reading it has met.
    flaw: Option<&'static str>,
}

/// More than any event has: each of them becomes a header, and is looked for among the others.
const MOST_ATTRIBUTES: usize = 256;

const REQUIRED: [&str; 4] = ["id", "source", "type", "specversion"];
/// May be missing, must not be empty.
const OPTIONAL: [&str; 4] = ["subject", "time", "dataschema", "datacontenttype"];

impl<'a> Envelope<'a> {
    /// Reads it. The error never quotes what stands in it.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let envelope: Self = serde_json::from_slice(bytes).map_err(|error| explain(&error))?;
        if let Some(flaw) = envelope.flaw {
            return Err(flaw.to_owned());
        }
        for name in REQUIRED {
            if envelope.get(name).is_none() {
                return Err(format!("the attribute `{name}` is missing"));
            }
        }
        for name in REQUIRED.into_iter().chain(OPTIONAL) {
            if envelope.get(name) == Some("") {
                return Err(format!("the attribute `{name}` is empty"));
            }
        }
        if envelope.get("specversion") != Some(SPEC_VERSION) {
            return Err(format!("`specversion` is not {SPEC_VERSION}, the only one that can be read"));
        }
        if envelope.get("time").is_some_and(|time| time.parse::<jiff::Timestamp>().is_err()) {
            return Err("the attribute `time` is no RFC 3339 time".to_owned());
        }
        Ok(envelope)
    }

    /// An attribute's value.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(found, _)| found == name).map(|(_, value)| &**value)
    }

    fn add(&mut self, name: Cow<'a, str>, value: Value<'a>) {
        let allowed = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9');
        let value = match value {
            Value::Null => return,
            Value::Text(value) => value,
            Value::Other => {
                self.flaw = Some("an attribute is no string, whole number or boolean");
                return;
            }
        };
        if name.is_empty() || !name.bytes().all(allowed) {
            self.flaw = Some("the name of an attribute is not of a-z and 0-9");
        } else if self.attributes.len() == MOST_ATTRIBUTES {
            self.flaw = Some("it has more than 256 attributes");
        } else if self.get(&name).is_some() {
            self.flaw = Some("an attribute occurs twice");
        } else {
            self.attributes.push((name, value));
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Envelope<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Envelope<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CloudEvent")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Envelope<'de>, A::Error> {
                let mut envelope = Envelope::default();
                while let Some(Text(name)) = members.next_key()? {
                    match &*name {
                        "data" if envelope.data.is_none() => envelope.data = Some(members.next_value()?),
                        "data_base64" if envelope.data_base64.is_none() => {
                            envelope.data_base64 =
                                members.next_value::<Option<Text<'de>>>()?.map(|text| text.0);
                        }
                        "data" | "data_base64" => {
                            members.next_value::<IgnoredAny>()?;
                            envelope.flaw = Some("its data occurs twice");
                        }
                        _ => envelope.add(name, members.next_value()?),
                    }
                }
                Ok(envelope)
            }
        }

        deserializer.deserialize_map(Members)
    }
}

/// A string, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// What an attribute may be: a value of the types that CloudEvents has, as it stands in a header.
enum Value<'a> {
    Null,
    Text(Cow<'a, str>),
    Other,
}

impl<'de: 'a, 'a> Deserialize<'de> for Value<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&'de RawValue>::deserialize(deserializer)?.get();
        Ok(match raw.as_bytes() {
            b"null" => Self::Null,
            [b'"', ..] => {
                let Text(text) = serde_json::from_str(raw).map_err(|_| D::Error::custom("a string"))?;
                Self::Text(text)
            }
            b"true" | b"false" => Self::Text(raw.into()),
            _ if raw.parse::<i32>().is_ok() => Self::Text(raw.into()),
            _ => Self::Other,
        })
    }
}
