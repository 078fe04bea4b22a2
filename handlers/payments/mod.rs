//! Payments: deducts every order from its user's wallet, once.

mod charge;
mod gateway;
mod sql;
#[cfg(test)]
mod tests;
mod wallet;

use oncewise::{Routes, Service};

pub use self::{charge::ChargeWallet, gateway::Gateway};
use crate::{database::inbox::Inbox, event::OrderCreated};

/// The service `payments`. A user's first payment opens the wallet with `opening_credit_cents`.
#[must_use]
pub fn service(inbox: Inbox, gateway: Gateway, opening_credit_cents: i64) -> Service {
    let charge = ChargeWallet { inbox, gateway, opening_credit_cents };
    Service::new("payments").routes(Routes::new().on(OrderCreated::TOPIC, charge))
}
