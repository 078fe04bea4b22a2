//! What goes wrong with an e-mail.

use lettre::transport::smtp::{self, response::Code};
use oncewise::Failure;
use thiserror::Error;

/// An e-mail that was not acknowledged. The texts hold neither an address nor what the server wrote, which may
/// repeat one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MailError {
    /// Nobody can be written to there.
    #[error("the recipient's address is none")]
    Address,
    /// The message cannot be made or not be sent to this server, as it stands.
    #[error("the message cannot be sent: {0}")]
    Message(String),
    /// The server was not reached, or does not accept us.
    #[error("the mail server cannot be used: {0}")]
    Unusable(String),
    /// The server did not answer in time, and has not seen the message.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// The conversation broke off before the message.
    #[error("the conversation with the mail server broke off: {0}")]
    Broken(String),
    /// The message went to the server, and what became of it is not known.
    #[error("the mail server was given the message and did not acknowledge it: {0}")]
    InDoubt(String),
    /// The server may take it later.
    #[error("the mail server answered {0}")]
    Later(Code),
    /// The server does not take it.
    #[error("the mail server answered {0}")]
    Refused(Code),
}

impl MailError {
    /// Before the message: whatever it is, it is not the message's fault.
    pub(super) fn connecting(error: &smtp::Error) -> Self {
        Self::Unusable(describe(error))
    }

    /// With the message announced.
    pub(super) fn announcing(error: &smtp::Error) -> Self {
        match error.status() {
            // It wants a login first, which is a matter of our configuration.
            Some(code) if u16::from(code) == 530 => Self::Unusable(describe(error)),
            Some(code) if error.is_permanent() => Self::Refused(code),
            Some(code) => Self::Later(code),
            None if error.is_client() => Self::Message(describe(error)),
            None => Self::Broken(describe(error)),
        }
    }

    /// With the message under way. A number that says no is an answer; anything else is none.
    pub(super) fn handing_over(error: &smtp::Error) -> Self {
        match error.status() {
            Some(_) => Self::announcing(error),
            None => Self::InDoubt(describe(error)),
        }
    }
}

/// The library's own words, and of the server's only the number.
fn describe(error: &smtp::Error) -> String {
    match error.status() {
        Some(code) => format!("it answered {code}"),
        None if error.is_response() => "its answer cannot be read".to_owned(),
        None => error.to_string(),
    }
}

/// The one place that says which e-mails are worth another try.
impl From<MailError> for Failure {
    fn from(error: MailError) -> Self {
        match error {
            MailError::Address | MailError::Message(_) | MailError::Refused(_) => Self::reject(error),
            MailError::Unusable(_)
            | MailError::TimedOut
            | MailError::Broken(_)
            | MailError::InDoubt(_)
            | MailError::Later(_) => Self::retry(error),
        }
    }
}
