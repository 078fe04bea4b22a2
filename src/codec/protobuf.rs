//! Protocol Buffers through prost.

use bytes::Bytes;
use prost::Message;

use super::{Codec, DecodeError, EncodeError, Encoder, change::decodes_changes};
use crate::Metadata;

/// Protocol Buffers, for messages that prost has generated. Needs the feature `protobuf`.
///
/// The format cannot tell one message from another: bytes of another message may well decode. Where a topic
/// carries more than one, let [`Routes::on_type`](crate::Routes::on_type) tell them apart.
#[derive(Debug, Clone, Copy, Default)]
pub struct Protobuf;

#[diagnostic::do_not_recommend]
impl<Event: Message + Default> Codec<Event> for Protobuf {
    fn decode(&self, value: &Bytes, _: &Metadata) -> Result<Event, DecodeError> {
        // prost's texts name fields and wire types; none of them quotes a value.
        Event::decode(value.clone()).map_err(|error| DecodeError::new(format!("not this message: {error}")))
    }
}

decodes_changes!(Protobuf, Message + Default);

#[diagnostic::do_not_recommend]
impl<Event: Message> Encoder<Event> for Protobuf {
    fn content_type(&self) -> &'static str {
        "application/protobuf"
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        Ok(event.encode_to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, testing::record};

    // prost makes `String` the message `google.protobuf.StringValue`: one field, number 1.
    fn decode(value: &'static [u8]) -> Result<String, String> {
        Protobuf.decode(&Bytes::from_static(value), &record()).map_err(|error: DecodeError| error.to_string())
    }

    #[test]
    fn a_message_survives() {
        let event = "paid".to_owned();
        let bytes = Protobuf.encode(&event).unwrap();
        assert_eq!(bytes, b"\x0a\x04paid");
        assert_eq!(Protobuf.decode(&bytes.into(), &record()), Ok(Change::Value(event)));
        assert_eq!(Protobuf.decode_tombstone(&record()), Ok(Some(Change::<String>::Deleted)));
        assert_eq!(decode(b""), Ok(String::new()), "a message without fields has no bytes");
    }

    #[test]
    fn other_bytes_are_refused_without_being_quoted() {
        for wrong in [&b"\x0a\x7f4111"[..], b"\x0a\x044\xff11", b"\x084111", b"4111-1111", b"\xff"] {
            let refusal = decode(wrong).unwrap_err();
            assert!(refusal.starts_with("not this message: ") && !refusal.contains("411"), "{refusal}");
        }
    }
}
