//! Why there are no bytes, or no event.

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

/// Why a record could not be decoded. Its text reaches logs and dead letters, so it never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct DecodeError {
    text: String,
    unknown_type: bool,
}

impl DecodeError {
    /// The bytes are not what they should be: the record is dead-lettered as `undecodable`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), unknown_type: false }
    }

    /// Nothing is wrong with the record, but nobody here takes events of its type: what follows is what
    /// [`Routes::unknown`](crate::Routes::unknown) says.
    pub fn unknown_type(text: impl Into<String>) -> Self {
        Self { text: text.into(), unknown_type: true }
    }

    /// Whether it is the type that nobody takes.
    #[must_use]
    pub fn is_unknown_type(&self) -> bool {
        self.unknown_type
    }
}
