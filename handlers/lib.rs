//! The services of the shop, and the model to copy: what happens when somebody orders.
//!
//! | service           | what it does for each order                          |
//! |-------------------|------------------------------------------------------|
//! | [`orders`]        | stores it                                            |
//! | [`payments`]      | deducts its amount from the user's wallet            |
//! | [`notifications`] | confirms it by e-mail, and by SMS where it can       |
//!
//! The first two write their effect in one transaction with the idempotency key ([`database::inbox`]), so that a
//! crash at any moment leaves either both or neither. The third has effects that no transaction can hold: it
//! hands the key on ([`outside`]).

pub mod config;
pub mod database;
mod demo;
pub mod event;
pub mod notifications;
pub mod orders;
pub mod outside;
pub mod payments;
mod produce;
pub mod sample;
#[cfg(test)]
mod testing;

pub use self::{demo::demo, produce::produce};
use oncewise::{BoxError, Service};

use crate::{
    config::ShopConfig,
    database::{Database, inbox::Inbox},
    notifications::Channels,
    payments::Gateway,
};

/// All services of the shop, over one database.
///
/// # Errors
/// The database cannot be opened, or TLS cannot be spoken.
pub async fn services(config: &ShopConfig) -> Result<Vec<Service>, BoxError> {
    let database = Database::open(&config.database_url, config.database_connections).await?;
    let inbox = Inbox::new(database.clone());
    let gateway = match &config.gateway {
        Some(settings) => Gateway::at(settings)?,
        None => Gateway::busy(config.gateway_busy_percent),
    };
    Ok(vec![
        orders::service(inbox.clone()),
        payments::service(inbox, gateway, config.opening_credit_cents),
        notifications::service(database, Channels::new(config)?),
    ])
}
