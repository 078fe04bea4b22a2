//! Services of others that the shop calls: a mail server, and gateways over HTTP.
//!
//! Nothing that happens there can be part of a transaction here. What keeps it from happening twice is the
//! idempotency key, which every call carries:
//!
//! * A gateway that honours the header `Idempotency-Key` does once what is asked twice. Nothing can double.
//! * Mail servers know no such thing. A message carries the key as its `Message-ID`, by which people and some
//!   servers recognise a repetition.
//!
//! Each client says in one place which answers are worth another try: its error's conversion into
//! [`Failure`](oncewise::Failure). Error texts reach dead letters, so they hold neither addresses nor what the
//! other side wrote.

mod http;
mod mail;
mod mail_error;
mod retry_after;
mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::{
    http::{GatewayError, HttpGateway},
    mail::{Mail, Mailer},
    mail_error::MailError,
    settings::{EmailSettings, GatewaySettings, MailServer, MailTls},
};

/// How long one call may take unless the configuration says otherwise: shorter than a lease.
const TIMEOUT: Duration = Duration::from_secs(8);
