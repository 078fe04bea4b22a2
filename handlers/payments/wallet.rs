//! A user's credits.

use oncewise::Failure;
use thiserror::Error;

use super::sql;
use crate::{
    database::{DatabaseError, Transaction},
    event::OrderCreated,
};

/// Deducts the order from its user's wallet, which the first payment opens, and notes the payment.
pub(super) async fn deduct(
    tx: &mut Transaction,
    order: &OrderCreated,
    opening_credit_cents: i64,
) -> Result<(), WalletError> {
    if sql::open_wallet(tx, order, opening_credit_cents).await? != order.currency {
        return Err(WalletError::OtherCurrency);
    }
    if !sql::deduct(tx, order).await? {
        return Err(WalletError::InsufficientFunds);
    }
    sql::insert_payment(tx, order).await?;
    Ok(())
}

/// A payment that a wallet refuses.
#[derive(Debug, Error)]
pub(super) enum WalletError {
    /// The wallet holds less than the order costs.
    #[error("insufficient funds")]
    InsufficientFunds,
    /// Hundredths of one currency are not those of another.
    #[error("the wallet is in another currency than the order")]
    OtherCurrency,
    /// The database, not the wallet.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The one place that says which payments are worth another try: money does not come by waiting.
impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        match error {
            WalletError::InsufficientFunds | WalletError::OtherCurrency => Self::reject(error),
            WalletError::Database(error) => error.into(),
        }
    }
}
