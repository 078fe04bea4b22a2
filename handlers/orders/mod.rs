//! Orders: keeps every order, once.

mod sql;
mod store_order;
#[cfg(test)]
mod tests;

use oncewise::{Routes, Service};

pub use self::store_order::StoreOrder;
use crate::{database::Database, event::OrderCreated};

/// The service `orders`.
#[must_use]
pub fn service(database: Database) -> Service {
    Service::new("orders").routes(Routes::new().on(OrderCreated::TOPIC, StoreOrder { database }))
}
