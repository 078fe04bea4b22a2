//! One enum for a topic, told by a header which variant the value is.

use bytes::Bytes;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, VariantAccess, Visitor,
    value::StrDeserializer,
};

use super::{Codec, DecodeError, change::decodes_changes, explain};
use crate::{Metadata, routes::TYPE_HEADER};

/// JSON for an enum whose variant is named by a header, `ce_type` unless told otherwise:
///
/// ```
/// #[derive(serde::Deserialize)]
/// enum OrderEvent {
///     #[serde(rename = "order.created")]
///     Created(OrderCreated),
///     #[serde(rename = "order.cancelled")]
///     Cancelled { order_id: String },
/// }
/// # #[derive(serde::Deserialize)]
/// # struct OrderCreated { order_id: String }
/// ```
///
/// Types that are no variant follow [`Routes::unknown`](crate::Routes::unknown). A variant without content takes
/// any value.
#[derive(Debug, Clone)]
pub struct TypedJson {
    header: String,
}

impl TypedJson {
    /// Takes the variant from the header `ce_type`.
    #[must_use]
    pub fn new() -> Self {
        Self::by_header(TYPE_HEADER)
    }

    /// Takes the variant from this header.
    pub fn by_header(name: impl Into<String>) -> Self {
        Self { header: name.into() }
    }
}

impl Default for TypedJson {
    fn default() -> Self {
        Self::new()
    }
}

#[diagnostic::do_not_recommend]
impl<Event: DeserializeOwned> Codec<Event> for TypedJson {
    fn decode(&self, value: &Bytes, meta: &Metadata) -> Result<Event, DecodeError> {
        let header = &self.header;
        let unknown = |text| DecodeError::unknown_type(text);
        let named = meta
            .header(header)
            .ok_or_else(|| unknown(format!("the record has no header `{header}` to name its type")))?;
        let variant = std::str::from_utf8(named)
            .map_err(|_| unknown(format!("the type in the header `{header}` is not text")))?;
        Event::deserialize(Tagged { variant, content: value }).map_err(|refusal| match refusal {
            Refusal::NoVariant(expected) => {
                let expected = expected.join("`, `");
                unknown(format!("the type in the header `{header}` is none of `{expected}`"))
            }
            Refusal::NoEnum => {
                DecodeError::new("the event of this handler is no enum, which `TypedJson` needs")
            }
            Refusal::Content(text) => DecodeError::new(text),
        })
    }
}

decodes_changes!(TypedJson, DeserializeOwned);

/// An enum for serde: the variant from one place, its content from another.
struct Tagged<'de> {
    variant: &'de str,
    content: &'de [u8],
}

/// Why there is no such event. None of the texts quotes the value.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("no variant of this name")]
    NoVariant(&'static [&'static str]),
    #[error("no enum")]
    NoEnum,
    #[error("{0}")]
    Content(String),
}

impl serde::de::Error for Refusal {
    /// Whatever says more comes from the author's own types, and may quote what it was given.
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self::Content("JSON of another shape: a value of the wrong type or form".to_owned())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::NoVariant(expected)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Content(explain(&error))
    }
}

impl<'de> Deserializer<'de> for Tagged<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(Refusal::NoEnum)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Refusal;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de>), Refusal> {
        let variant = seed.deserialize(StrDeserializer::<Refusal>::new(self.variant))?;
        Ok((variant, Content(self.content)))
    }
}

struct Content<'de>(&'de [u8]);

impl<'de> Content<'de> {
    /// The whole value, and nothing behind it.
    fn read<T>(
        &self,
        read: impl FnOnce(&mut serde_json::Deserializer<serde_json::de::SliceRead<'de>>) -> serde_json::Result<T>,
    ) -> Result<T, Refusal> {
        let mut json = serde_json::Deserializer::from_slice(self.0);
        let event = read(&mut json)?;
        json.end()?;
        Ok(event)
    }
}

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = Refusal;

    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Refusal> {
        self.read(|json| seed.deserialize(json))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.read(|json| json.deserialize_tuple(length, visitor))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.read(|json| json.deserialize_struct("", fields, visitor))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::{Change, Header, testing::record};

    #[derive(Debug, PartialEq, Deserialize)]
    struct Created {
        id: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    enum Event {
        #[serde(rename = "order.created")]
        Created(Created),
        #[serde(rename = "order.moved")]
        Moved { to: String },
        #[serde(rename = "order.weighed")]
        Weighed(u32, String),
        #[serde(rename = "order.closed")]
        Closed,
    }

    fn typed(event_type: &'static str) -> Metadata {
        let mut meta = record();
        meta.headers.push(Header::text("ce_type", event_type));
        meta
    }

    fn decode<E>(event_type: &'static str, value: &'static str) -> Result<E, DecodeError>
    where
        TypedJson: Codec<E>,
    {
        TypedJson::new().decode(&Bytes::from_static(value.as_bytes()), &typed(event_type))
    }

    #[test]
    fn the_header_names_the_variant_and_the_value_is_its_content() {
        assert_eq!(decode("order.created", r#"{"id":7}"#), Ok(Event::Created(Created { id: 7 })));
        assert_eq!(decode("order.moved", r#"{"to":"Kyiv"}"#), Ok(Event::Moved { to: "Kyiv".into() }));
        assert_eq!(decode("order.weighed", r#"[3,"kg"]"#), Ok(Event::Weighed(3, "kg".into())));
        assert_eq!(decode("order.closed", "whatever"), Ok(Event::Closed));
        assert_eq!(
            decode("order.created", r#"{"id":7}"#),
            Ok(Change::Value(Event::Created(Created { id: 7 })))
        );
    }

    #[test]
    fn another_header_may_name_it() {
        let meta = Metadata { headers: vec![Header::text("event-type", "order.closed")], ..record() };
        assert_eq!(TypedJson::by_header("event-type").decode(&Bytes::new(), &meta), Ok(Event::Closed));
    }

    #[test]
    fn a_type_that_is_no_variant_is_unknown_and_not_undecodable() {
        let unknown = decode::<Event>("order.4111", "{}").unwrap_err();
        let text = "the type in the header `ce_type` is none of \
                    `order.created`, `order.moved`, `order.weighed`, `order.closed`";
        assert_eq!(unknown, DecodeError::unknown_type(text));
        let nameless: DecodeError =
            Codec::<Event>::decode(&TypedJson::new(), &Bytes::new(), &record()).unwrap_err();
        assert_eq!(
            nameless,
            DecodeError::unknown_type("the record has no header `ce_type` to name its type")
        );
    }

    #[test]
    fn content_of_another_shape_is_undecodable_and_never_quoted() {
        for (event_type, value) in [
            ("order.created", r#"{"id":"4111"}"#),
            ("order.created", r#"{"id":4111"#),
            ("order.created", r#"{"id":1} 4111"#),
            ("order.created", ""),
            ("order.moved", r#"{"to":4111}"#),
            ("order.weighed", r#"["4111"]"#),
        ] {
            let error = decode::<Event>(event_type, value).unwrap_err();
            assert!(!error.is_unknown_type() && !error.to_string().contains("4111"), "{error}");
        }
        let error = decode::<Created>("order.created", r#"{"id":1}"#).unwrap_err();
        assert_eq!(error.to_string(), "the event of this handler is no enum, which `TypedJson` needs");
    }
}
