//! What a record of a compacted topic says about its key.

/// A new value for the record's key, or its end. A handler whose event is a `Change<T>` gets tombstones, too.
///
/// [`Metadata::key`](crate::Metadata#structfield.key) is the key that is meant. A tombstone has no content to
/// take a dedupe key from; [`DedupeKey::record`](crate::DedupeKey::record) tells records apart, and
/// [`DedupeKey::cloud_event`](crate::DedupeKey::cloud_event) tells events apart where their headers name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change<T> {
    /// The key has this value now.
    Value(T),
    /// The key is gone: the record is a tombstone.
    Deleted,
}

/// A codec for `T` that also makes `Change<T>`. This takes one `impl` for each codec: two codecs in one would
/// overlap if it were one for all of them.
macro_rules! decodes_changes {
    ($codec:ty, $($bound:tt)+) => {
        #[diagnostic::do_not_recommend]
        impl<T: $($bound)+> $crate::Codec<$crate::Change<T>> for $codec {
            fn decode(
                &self,
                value: &bytes::Bytes,
                meta: &$crate::Metadata,
            ) -> Result<$crate::Change<T>, $crate::DecodeError> {
                $crate::Codec::<T>::decode(self, value, meta).map($crate::Change::Value)
            }

            fn decode_tombstone(
                &self,
                _meta: &$crate::Metadata,
            ) -> Result<Option<$crate::Change<T>>, $crate::DecodeError> {
                Ok(Some($crate::Change::Deleted))
            }
        }
    };
}
pub(super) use decodes_changes;
