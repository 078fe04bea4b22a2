/// Trouble with the store. It says nothing about any event, so it never spends an attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreFault {
    /// Whether waiting may help.
    pub kind: FaultKind,
    /// What happened and, for a refusal, what to do. Never holds a secret.
    pub message: String,
}

/// Whether waiting may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// Out of reach, overloaded, starting or failing over: the same call may succeed later.
    Unavailable,
    /// A person has to change something: a password, a permission, a setting.
    Refused,
}

impl StoreFault {
    /// A fault that may pass.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Unavailable, message: message.into() }
    }

    /// A fault that stays until a person changes something.
    pub fn refused(message: impl Into<String>) -> Self {
        Self { kind: FaultKind::Refused, message: message.into() }
    }
}
