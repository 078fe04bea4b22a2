//! Payments: deducts every order from its user's wallet, once, and says so to the others.

mod charge;
mod gateway;
mod sql;
#[cfg(test)]
mod tests;
mod wallet;

use oncewise::{Routes, Service};

pub use self::gateway::Gateway;
use self::{charge::ChargeWallet, wallet::Wallets};
use crate::{
    database::inbox::Inbox,
    event::{OrderCreated, PaymentSettled},
};

/// The service `payments`. A user's first payment opens the wallet with `opening_credit_cents`.
#[must_use]
pub fn service(inbox: Inbox, gateway: Gateway, opening_credit_cents: i64) -> Service {
    let charge = ChargeWallet { gateway, wallets: Wallets { inbox, opening_credit_cents } };
    let routes = Routes::new().on(OrderCreated::TOPIC, charge);
    Service::new("payments").routes(routes).publishes(PaymentSettled::TOPIC)
}
