//! Notifications: confirms every order to the person who placed it, by e-mail and by SMS.

mod channels;
mod confirmation;
mod postbox;
mod send_confirmation;
mod sql;
#[cfg(test)]
mod tests;

use oncewise::{Routes, Service};

use self::postbox::Postbox;
pub use self::{channels::Channels, send_confirmation::SendConfirmation};
use crate::{database::Database, event::OrderCreated};

/// The service `notifications`.
#[must_use]
pub fn service(database: Database, channels: Channels) -> Service {
    let confirm = SendConfirmation { postbox: Postbox { database, channels } };
    Service::new("notifications").routes(Routes::new().on(OrderCreated::TOPIC, confirm))
}
