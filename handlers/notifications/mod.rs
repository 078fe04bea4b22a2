//! Notifications: confirms every order to the person who placed it, once.

mod receipt;
mod send_receipt;
mod sql;
#[cfg(test)]
mod tests;

use oncewise::{Routes, Service};

pub use self::send_receipt::SendReceipt;
use crate::{database::inbox::Inbox, event::OrderCreated};

/// The service `notifications`.
#[must_use]
pub fn service(inbox: Inbox) -> Service {
    Service::new("notifications").routes(Routes::new().on(OrderCreated::TOPIC, SendReceipt { inbox }))
}
