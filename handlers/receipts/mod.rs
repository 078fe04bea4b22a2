//! Receipts: one for each payment that was settled. They are a part of the service `notifications`, which consumes
//! what payments publishes: the second half of a chain that takes effect once from its one end to the other.

mod sql;
#[cfg(test)]
mod tests;
mod write_receipt;

use oncewise::Routes;

pub use self::write_receipt::WriteReceipt;
use crate::{database::inbox::Inbox, event::PaymentSettled};

/// What is done about payments that were settled.
#[must_use]
pub fn routes(inbox: Inbox) -> Routes {
    Routes::new().on(PaymentSettled::TOPIC, WriteReceipt { inbox })
}
