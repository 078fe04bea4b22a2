//! The users' credits.

use oncewise::{Context, Failure};
use thiserror::Error;

use super::sql;
use crate::{
    database::inbox::{Inbox, InboxTransaction},
    event::OrderCreated,
};

/// All wallets, and the inbox beside them.
pub(super) struct Wallets {
    pub(super) inbox: Inbox,
    /// What a wallet opens with.
    pub(super) opening_credit_cents: i64,
}

impl Wallets {
    /// Deducts the order from its user's wallet, which the first payment opens, and notes the payment, in a
    /// transaction that is still open. `None` if this has been committed before.
    pub(super) async fn deduct(
        &self,
        order: &OrderCreated,
        ctx: &Context,
    ) -> Result<Option<InboxTransaction>, Failure> {
        order.check()?;
        let Some(mut tx) = self.inbox.begin(ctx).await? else { return Ok(None) };
        if sql::open_wallet(&mut tx, order, self.opening_credit_cents).await? != order.currency {
            return Err(WalletError::OtherCurrency.into());
        }
        if !sql::deduct(&mut tx, order).await? {
            return Err(WalletError::InsufficientFunds.into());
        }
        sql::insert_payment(&mut tx, order).await?;
        Ok(Some(tx))
    }
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
}

/// Money does not come by waiting.
impl From<WalletError> for Failure {
    fn from(error: WalletError) -> Self {
        Self::reject(error)
    }
}
