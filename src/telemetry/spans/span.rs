//! One span that has ended.

use std::{borrow::Cow, time::SystemTime};

use super::TraceContext;

/// Who stands where to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Works on what somebody else has sent.
    Consumer,
    /// Sends what somebody else will work on.
    Producer,
    /// A part of the work.
    Internal,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Cow<'static, str>),
    Integer(i64),
    Flag(bool),
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

pub(super) type Attributes = Vec<(&'static str, Value)>;

/// A span, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) context: TraceContext,
    pub(super) parent: Option<TraceContext>,
    /// What else it belongs to, in a trace of its own.
    pub(super) link: Option<TraceContext>,
    /// The parent is another process', as far as anybody knows.
    pub(super) is_remote: bool,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) began: SystemTime,
    pub(super) ended: SystemTime,
    pub(super) attributes: Attributes,
    /// What went wrong.
    pub(super) error: Option<String>,
}
