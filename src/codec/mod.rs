//! From bytes to events, and back.

mod change;
mod confluent;
mod error;
mod json;
#[cfg(feature = "protobuf")]
mod protobuf;
mod raw;
mod typed_json;

use bytes::Bytes;

pub use change::Change;
pub use confluent::Confluent;
pub use error::{DecodeError, EncodeError};
pub use json::Json;
pub(crate) use json::explain;
#[cfg(feature = "protobuf")]
pub use protobuf::Protobuf;
pub use raw::Raw;
pub use typed_json::TypedJson;

use crate::Metadata;

/// Decodes records into events.
///
/// A structured CloudEvent has been taken apart by then: its data is the value, and its attributes are `ce_*`
/// headers, as if it had come in binary mode.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot decode `{Event}`",
    label = "no way from the bytes of a record to the event",
    note = "for JSON, the default, derive `serde::Deserialize` for the event",
    note = "for another format, register the handler with its codec: `Routes::on_with(topic, codec, handler)`"
)]
pub trait Codec<Event>: Send + Sync + 'static {
    /// Decodes one value. `meta` is the record it comes from, for codecs that look at its headers.
    ///
    /// # Errors
    /// Says why the bytes are no such event, without quoting them. [`DecodeError::unknown_type`] says that nobody
    /// takes events of this type.
    fn decode(&self, value: &Bytes, meta: &Metadata) -> Result<Event, DecodeError>;

    /// What a tombstone (a record whose value is null) means. `None`, the default, means nothing to this handler,
    /// and the record is skipped.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode).
    fn decode_tombstone(&self, _meta: &Metadata) -> Result<Option<Event>, DecodeError> {
        Ok(None)
    }
}

/// Encodes an event for another topic.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot encode `{Event}`",
    label = "no way from `{Event}` to the bytes of a record",
    note = "derive `serde::Serialize` for `{Event}`, or publish it with another encoder: `Publication::encoded(&encoder, topic, key, &event)`"
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
