//! Orders: keeps every order, once.

mod sql;
mod store_order;
#[cfg(test)]
mod tests;

use oncewise::{Routes, Service};

pub use self::store_order::StoreOrder;
use crate::{database::inbox::Inbox, event::OrderCreated};

/// The service `orders`.
#[must_use]
pub fn service(inbox: Inbox) -> Service {
    Service::new("orders").routes(Routes::new().on(OrderCreated::TOPIC, StoreOrder { inbox }))
}
