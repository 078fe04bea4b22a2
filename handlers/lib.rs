//! The services of the shop, and the model to copy: what happens when somebody orders.
//!
//! | service           | of each                    | it                                                     |
//! |-------------------|----------------------------|--------------------------------------------------------|
//! | [`orders`]        | order                      | stores it                                              |
//! | [`payments`]      | order                      | deducts its amount from the user's wallet, and says so |
//! | [`notifications`] | order                      | confirms it by e-mail, and by SMS where it can         |
//! |                   | payment that was settled   | writes a receipt ([`receipts`])                        |
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
mod patience;
pub mod payments;
mod produce;
pub mod receipts;
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

/// All services of the shop, over one database, whose inbox they prune as long as this runtime lives.
///
/// # Errors
/// The database cannot be opened, or TLS cannot be spoken.
pub async fn services(config: &ShopConfig) -> Result<Vec<Service>, BoxError> {
    let database = Database::open(&config.database_url, config.database_connections).await?;
    let inbox = Inbox::new(database.clone());
    tokio::spawn(inbox.clone().prune_hourly(config.inbox_retention));
    let gateway = match &config.gateway {
        Some(settings) => Gateway::at(settings)?,
        None => Gateway::busy(config.gateway_busy_percent),
    };
    Ok(vec![
        orders::service(inbox.clone()),
        payments::service(inbox.clone(), gateway, config.opening_credit_cents),
        notifications::service(database, Channels::new(config)?).routes(receipts::routes(inbox)),
    ])
}
