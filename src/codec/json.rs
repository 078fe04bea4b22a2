//! JSON through serde.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use super::{Codec, DecodeError, EncodeError, Encoder, change::decodes_changes};
use crate::Metadata;

/// JSON through serde, the default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json;

#[diagnostic::do_not_recommend]
impl<Event: DeserializeOwned> Codec<Event> for Json {
    fn decode(&self, value: &Bytes, _: &Metadata) -> Result<Event, DecodeError> {
        // Checked as a whole it is read a third faster than text by text. What is no text at all is explained as ever.
        let event = match std::str::from_utf8(value) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(value),
        };
        event.map_err(|error| DecodeError::new(explain(&error)))
    }
}

decodes_changes!(Json, DeserializeOwned);

#[diagnostic::do_not_recommend]
impl<Event: Serialize + ?Sized> Encoder<Event> for Json {
    fn content_type(&self) -> &'static str {
        "application/json"
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        serde_json::to_vec(event).map_err(|error| EncodeError::new(error.to_string()))
    }
}

/// serde's texts quote the value ("invalid type: string \"4111…\""), except where they name a field of ours.
pub(crate) fn explain(error: &serde_json::Error) -> String {
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
    use crate::{Change, testing::record};

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Card {
        number: u64,
    }

    fn decode<E>(value: &'static str) -> Result<E, String>
    where
        Json: Codec<E>,
    {
        Json.decode(&Bytes::from_static(value.as_bytes()), &record()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_error_says_what_is_wrong_and_never_quotes_the_value() {
        let refusal = |value| decode::<Card>(value).unwrap_err();
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

    #[test]
    fn what_is_no_text_is_refused_where_it_is_read() {
        let read = |value: &'static [u8]| {
            let card: Result<Card, _> = Json.decode(&Bytes::from_static(value), &record());
            card.map_err(|error| error.to_string())
        };
        assert_eq!(read(b"{\"number\":7,\"of\":\"\xff\"}"), Ok(Card { number: 7 }), "nobody reads that");
        assert_eq!(read(b"{\"number\":\xff}"), Err("not JSON: syntax error at line 1 column 11".into()));
    }

    #[test]
    fn a_change_is_a_value_or_a_tombstone() {
        assert_eq!(decode(r#"{"number":1}"#), Ok(Change::Value(Card { number: 1 })));
        assert!(decode::<Change<Card>>("null").is_err(), "the JSON value null is no tombstone");
        assert_eq!(Json.decode_tombstone(&record()), Ok(Some(Change::<Card>::Deleted)));
        assert_eq!(Codec::<Card>::decode_tombstone(&Json, &record()), Ok(None), "not asked for");
    }

    #[test]
    fn an_enum_may_name_its_variant_in_the_value() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(tag = "type")]
        enum Event {
            #[serde(rename = "card.issued")]
            Issued(Card),
            #[serde(rename = "card.lost")]
            Lost,
        }
        assert_eq!(decode(r#"{"type":"card.issued","number":7}"#), Ok(Event::Issued(Card { number: 7 })));
        assert_eq!(decode(r#"{"type":"card.lost"}"#), Ok(Event::Lost));
        let refusal = decode::<Event>(r#"{"type":"card.4111"}"#).unwrap_err();
        assert!(!refusal.contains("4111"), "{refusal}");
    }
}
