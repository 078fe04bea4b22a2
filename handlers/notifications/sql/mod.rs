//! The table `notifications`.

mod postgres;
mod sqlite;

use super::receipt::Receipt;
use crate::database::{DatabaseError, Transaction};

pub(super) async fn insert_receipts(
    tx: &mut Transaction,
    receipts: &[Receipt<'_>],
) -> Result<(), DatabaseError> {
    match tx {
        Transaction::Sqlite(tx) => sqlite::insert_receipts(tx, receipts).await?,
        Transaction::Postgres(tx) => postgres::insert_receipts(tx, receipts).await?,
    }
    Ok(())
}
