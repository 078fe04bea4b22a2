//! The frame that Confluent's serializers put around a value.

use bytes::{Buf, Bytes};

use super::{Codec, DecodeError};
use crate::Metadata;

/// Takes off the frame that Confluent's serializers put around a value (a zero byte and the four bytes of a schema's
/// id; for Protocol Buffers also which message of the schema it is), and lets another codec decode the rest. The
/// schema registry is not asked: what the handler's event looks like is what counts.
#[derive(Debug, Clone)]
pub struct Confluent<C> {
    codec: C,
    /// Where the message is in its schema, outermost first; `None`: the frame does not say.
    message: Option<Vec<i64>>,
}

impl<C> Confluent<C> {
    /// A frame without a place in the schema, as around JSON.
    #[must_use]
    pub fn new(codec: C) -> Self {
        Self { codec, message: None }
    }

    /// A frame around the first message of a Protocol Buffers schema.
    #[must_use]
    pub fn protobuf(codec: C) -> Self {
        Self { codec, message: Some(vec![0]) }
    }

    /// Another message of the schema: its place in the file, then in the message around it. Any other message is of
    /// an unknown type.
    #[must_use]
    pub fn message(self, place: impl Into<Vec<i64>>) -> Self {
        Self { message: Some(place.into()), ..self }
    }

    fn content(&self, mut value: Bytes) -> Result<Bytes, DecodeError> {
        let broken = || DecodeError::new("Confluent's frame is broken");
        match value.try_get_u8() {
            Ok(0) => {}
            Ok(_) => {
                return Err(DecodeError::new(
                    "the value is not in Confluent's frame: its first byte is not 0",
                ));
            }
            Err(_) => return Err(DecodeError::new("the value is not in Confluent's frame: it is empty")),
        }
        value.try_get_u32().map_err(|_| broken())?;
        if let Some(expected) = &self.message {
            let place = place(&mut value).ok_or_else(broken)?;
            if place != *expected {
                return Err(DecodeError::unknown_type(format!(
                    "another message of its schema, not the one at {expected:?}"
                )));
            }
        }
        Ok(value)
    }
}

/// How many numbers, and then these; a single 0 is short for the first message of the file.
fn place(value: &mut Bytes) -> Option<Vec<i64>> {
    match number(value)? {
        0 => Some(vec![0]),
        count @ 1.. => (0..count).map(|_| number(value)).collect(),
        _ => None,
    }
}

/// A number in seven bits a byte, the sign in the last bit.
fn number(value: &mut Bytes) -> Option<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = value.try_get_u8().ok()?;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    None
}

impl<Event, C: Codec<Event>> Codec<Event> for Confluent<C> {
    fn decode(&self, value: &Bytes, meta: &Metadata) -> Result<Event, DecodeError> {
        self.codec.decode(&self.content(value.clone())?, meta)
    }

    fn decode_tombstone(&self, meta: &Metadata) -> Result<Option<Event>, DecodeError> {
        self.codec.decode_tombstone(meta)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Change, Json, Raw, testing::record};

    fn raw(codec: &Confluent<Raw>, value: impl Into<Bytes>) -> Result<Bytes, DecodeError> {
        codec.decode(&value.into(), &record())
    }

    #[test]
    fn what_is_in_the_frame_is_decoded() {
        let value = Bytes::from_static(b"\0\0\0\x01\x02{\"id\":7}");
        let event: Change<serde_json::Value> = Confluent::new(Json).decode(&value, &record()).unwrap();
        assert_eq!(event, Change::Value(serde_json::json!({"id": 7})));
        let tombstone: Option<Change<u32>> = Confluent::new(Json).decode_tombstone(&record()).unwrap();
        assert_eq!(tombstone, Some(Change::Deleted));
    }

    #[test]
    fn the_place_of_a_message_is_taken_off_and_compared() {
        let first = Confluent::protobuf(Raw);
        assert_eq!(raw(&first, &b"\0\0\0\0\x07\0rest"[..]).unwrap(), "rest");
        assert_eq!(raw(&first, &b"\0\0\0\0\x07\x02\0rest"[..]).unwrap(), "rest", "written out");
        let nested = Confluent::protobuf(Raw).message([1, 64]);
        assert_eq!(raw(&nested, &b"\0\0\0\0\x07\x04\x02\x80\x01rest"[..]).unwrap(), "rest");
        let unknown = "another message of its schema, not the one at [1, 64]";
        assert_eq!(raw(&nested, &b"\0\0\0\0\x07\0rest"[..]), Err(DecodeError::unknown_type(unknown)));
    }

    #[test]
    fn other_bytes_are_refused_without_being_quoted() {
        let first = Confluent::protobuf(Raw);
        let refusal = |value: &'static [u8]| raw(&first, value).unwrap_err().to_string();
        assert_eq!(refusal(b""), "the value is not in Confluent's frame: it is empty");
        assert_eq!(refusal(b"4111"), "the value is not in Confluent's frame: its first byte is not 0");
        for wrong in [
            &b"\0\0\0"[..],
            b"\0\0\0\0\x07",
            b"\0\0\0\0\x07\x80",
            b"\0\0\0\0\x07\x04\x02",
            b"\0\0\0\0\x07\x01",
        ] {
            assert_eq!(refusal(wrong), "Confluent's frame is broken", "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read(frame: Vec<u8>) {
            let value = [&b"\0\0\0\0\x07"[..], &frame].concat();
            let read = raw(&Confluent::protobuf(Raw), value.clone());
            prop_assert!(read.is_err() || read.is_ok_and(|rest| value.ends_with(&rest)));
        }
    }
}
