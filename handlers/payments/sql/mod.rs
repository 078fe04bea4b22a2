//! The tables `wallets` and `payments`.

mod postgres;
mod sqlite;

use crate::{
    database::{DatabaseError, Transaction},
    event::OrderCreated,
};

/// Opens the user's wallet, unless there is one, and answers its currency.
pub(super) async fn open_wallet(
    tx: &mut Transaction,
    order: &OrderCreated,
    credit_cents: i64,
) -> Result<String, DatabaseError> {
    Ok(match tx {
        Transaction::Sqlite(tx) => sqlite::open_wallet(tx, order, credit_cents).await?,
        Transaction::Postgres(tx) => postgres::open_wallet(tx, order, credit_cents).await?,
    })
}

/// False if the wallet holds less than the order costs.
pub(super) async fn deduct(tx: &mut Transaction, order: &OrderCreated) -> Result<bool, DatabaseError> {
    Ok(match tx {
        Transaction::Sqlite(tx) => sqlite::deduct(tx, order).await?,
        Transaction::Postgres(tx) => postgres::deduct(tx, order).await?,
    })
}

pub(super) async fn insert_payment(tx: &mut Transaction, order: &OrderCreated) -> Result<(), DatabaseError> {
    match tx {
        Transaction::Sqlite(tx) => sqlite::insert_payment(tx, order).await?,
        Transaction::Postgres(tx) => postgres::insert_payment(tx, order).await?,
    }
    Ok(())
}
