//! Bytes as they are.

use bytes::Bytes;

use super::{Change, Codec, DecodeError, EncodeError, Encoder};
use crate::Metadata;

/// The value as it is, for handlers whose event is [`Bytes`]. Nothing is copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    fn decode(&self, value: &Bytes, _: &Metadata) -> Result<Bytes, DecodeError> {
        Ok(value.clone())
    }
}

impl Codec<Change<Bytes>> for Raw {
    fn decode(&self, value: &Bytes, _: &Metadata) -> Result<Change<Bytes>, DecodeError> {
        Ok(Change::Value(value.clone()))
    }

    fn decode_tombstone(&self, _: &Metadata) -> Result<Option<Change<Bytes>>, DecodeError> {
        Ok(Some(Change::Deleted))
    }
}

#[diagnostic::do_not_recommend]
impl<Event: AsRef<[u8]> + ?Sized> Encoder<Event> for Raw {
    fn content_type(&self) -> &'static str {
        "application/octet-stream"
    }

    fn encode(&self, event: &Event) -> Result<Vec<u8>, EncodeError> {
        Ok(event.as_ref().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::record;

    #[test]
    fn the_bytes_are_the_record_s_own() {
        let value = Bytes::from(vec![0, 0xff]);
        let event: Bytes = Raw.decode(&value, &record()).unwrap();
        assert_eq!((event.as_ptr(), event.len()), (value.as_ptr(), 2), "not a copy");
        assert_eq!(Raw.encode(&event).unwrap(), [0, 0xff]);
        assert_eq!(Raw.decode(&value, &record()), Ok(Change::Value(value)));
        assert_eq!(Raw.decode_tombstone(&record()), Ok(Some(Change::<Bytes>::Deleted)));
    }
}
