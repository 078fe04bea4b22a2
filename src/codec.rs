//! From bytes to events, and back.

use serde::{Serialize, de::DeserializeOwned};

/// Decodes the value of a record into an event.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decode `{Event}`",
    note = "derive `serde::Deserialize` for the event, or register the handler with `Routes::on_with(topic, codec, handler)`"
)]
pub trait Codec<Event>: Send + Sync + 'static {
    /// Decodes one value.
    ///
    /// # Errors
    /// Says why the bytes are no such event, without quoting them.
    fn decode(&self, value: &[u8]) -> Result<Event, DecodeError>;
}

/// Encodes an event for another topic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot encode `{Event}`",
    note = "derive `serde::Serialize` for the event, or publish it with another encoder: `Publication::encoded(&encoder, topic, key, &event)`"
)]
pub trait Encoder<Event: ?Sized> {
    /// What the bytes are, as a media type.
    fn content_type(&self) -> &'static str;

    /// Encodes one event.
    ///
    /// # Errors
    /// Says why the event has no such form, without quoting it.
    fn encode(&self, event: &Event) -> Result<Vec<u8>, EncodeError>;
}

/// Why an event could not be encoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EncodeError(String);

impl EncodeError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Why a value could not be decoded. Its text reaches logs and dead letters, so it never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DecodeError(String);

impl DecodeError {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// JSON through serde, the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

impl<Event: DeserializeOwned> Codec<Event> for Json {
    fn decode(&self, value: &[u8]) -> Result<Event, DecodeError> {
        serde_json::from_slice(value).map_err(|error| DecodeError::new(explain(&error)))
    }
}

impl<Event: Serialize + ?Sized> Encoder<Event> for Json {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(event).map_err(|error| EncodeError::new(error.to_string()))
    }
}

/// serde's texts quote the value ("invalid type: string \"4111…\""), except where they name a field of ours.
fn explain(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let place = format!("at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    match error.classify() {
        Category::Eof => format!("not JSON: it ends too early {place}"),
        Category::Syntax => format!("not JSON: syntax error {place}"),
        Category::Data if text.starts_with("missing field") => text,
        Category::Data => format!("JSON of another shape: a value of the wrong type or form {place}"),
        Category::Io => "the value could not be read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    struct Card {
        #[expect(dead_code, reason = "only decoded")]
        number: u64,
    }

    fn refusal(value: &str) -> String {
        Codec::<Card>::decode(&Json, value.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn an_error_says_what_is_wrong_and_never_quotes_the_value() {
        assert_eq!(
            refusal(r#"{"number": "4111-1111"}"#),
            "JSON of another shape: a value of the wrong type or form at line 1 column 22"
        );
        assert_eq!(refusal(r#"{"numb": 4111}"#), "missing field `number` at line 1 column 14");
        assert_eq!(refusal(r#"{"number": 4111"#), "not JSON: it ends too early at line 1 column 15");
        assert_eq!(
            refusal("4111-1111-1111"),
            "JSON of another shape: a value of the wrong type or form at line 1 column 4"
        );
    }
}
