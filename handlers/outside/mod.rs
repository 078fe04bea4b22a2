//! Services of others that the shop calls: a mail server, and gateways over HTTP.
//!
//! Nothing that happens there can be part of a transaction here. What keeps it from happening twice is the
//! idempotency key, which every call carries:
//!
//! * A gateway that honours the header `Idempotency-Key` does once what is asked twice. Nothing can double.
//! * Mail servers know no such thing. A message carries the key as its `Message-ID`, by which people and some
//!   servers recognise a repetition. [`MailError::InDoubt`] tells apart what may have been sent all the same.
//!
//! Each client says in one place which answers are worth another try: its error's conversion into
//! [`Failure`](oncewise::Failure). Error texts reach dead letters, so they hold neither addresses nor what the
//! other side wrote.

mod announce;
mod http;
mod mail;
mod mail_error;
mod retry_after;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use oncewise::BoxError;
use thiserror::Error;

pub use self::{
    http::{GatewayError, HttpGateway},
    mail::{Mail, Mailer},
    mail_error::MailError,
    settings::{EmailSettings, GatewaySettings, MailServer, MailTls},
};

/// How long one call may take unless the configuration says otherwise: shorter than a lease.
const TIMEOUT: Duration = Duration::from_secs(8);
/// How long a mail server may take to acknowledge a message unless the configuration says otherwise. RFC 5321 has ten
/// minutes; this is what a handler's time limit leaves.
const REPLY_TIMEOUT: Duration = Duration::from_secs(4 * 60);

/// A section of the configuration that no client can be made from.
#[derive(Debug, Error)]
#[error("[{section}] cannot be used")]
pub struct SetupError {
    section: &'static str,
    source: BoxError,
}

impl SetupError {
    /// What to make of a client's error.
    pub(crate) fn of<E: Into<BoxError>>(section: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self { section, source: source.into() }
    }
}
