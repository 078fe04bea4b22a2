//! Notifications: confirms every order to the person who placed it, once.

mod receipt;
mod send_receipt;
mod sql;
#[cfg(test)]
mod tests;

use oncewise::{Routes, Service};

pub use self::send_receipt::SendReceipt;
use crate::{database::Database, event::OrderCreated};

/// The service `notifications`.
#[must_use]
pub fn service(database: Database) -> Service {
    Service::new("notifications").routes(Routes::new().on(OrderCreated::TOPIC, SendReceipt { database }))
}
