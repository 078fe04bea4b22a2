//! The table `receipts`.

mod postgres;
mod sqlite;

use crate::{
    database::{DatabaseError, Transaction},
    event::PaymentSettled,
};

pub(super) async fn insert_receipt(
    tx: &mut Transaction,
    payment: &PaymentSettled,
) -> Result<(), DatabaseError> {
    match tx {
        Transaction::Sqlite(tx) => sqlite::insert_receipt(tx, payment).await?,
        Transaction::Postgres(tx) => postgres::insert_receipt(tx, payment).await?,
    }
    Ok(())
}
