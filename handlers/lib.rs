//! The services of the shop, and the model to copy: what happens when somebody orders.
//!
//! | service           | what it does for each order                          |
//! |-------------------|------------------------------------------------------|
//! | [`orders`]        | stores it                                            |
//! | [`payments`]      | deducts its amount from the user's wallet            |
//! | [`notifications`] | confirms it by e-mail, and by SMS where it can       |
//!
//! Each writes its effect in one transaction with the idempotency key ([`database::inbox`]), so that a crash at
//! any moment leaves either both or neither.

pub mod config;
pub mod database;
mod demo;
pub mod event;
pub mod notifications;
pub mod orders;
pub mod payments;
mod produce;
pub mod sample;
#[cfg(test)]
mod testing;

pub use self::{demo::demo, produce::produce};
use oncewise::Service;

use crate::{
    config::ShopConfig,
    database::{Database, OpenError, inbox::Inbox},
    payments::Gateway,
};

/// All services of the shop, over one database.
///
/// # Errors
/// The database cannot be opened.
pub async fn services(config: &ShopConfig) -> Result<Vec<Service>, OpenError> {
    let database = Database::open(&config.database_url, config.database_connections).await?;
    let inbox = Inbox::new(database);
    let gateway = Gateway::busy(config.gateway_busy_percent);
    Ok(vec![
        orders::service(inbox.clone()),
        payments::service(inbox.clone(), gateway, config.opening_credit_cents),
        notifications::service(inbox),
    ])
}
