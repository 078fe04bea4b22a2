//! The tables `notifications`, one row per order and channel, written after the acknowledgement, and `doubts`, the same
//! for what was sent and not acknowledged.

mod postgres;
mod sqlite;

use super::confirmation::Confirmation;
use crate::database::{Database, DatabaseError, Transaction};

/// The channels by which this order has been confirmed.
pub(super) async fn sent_channels(database: &Database, order_id: &str) -> Result<Vec<String>, DatabaseError> {
    Ok(match &mut database.begin().await? {
        Transaction::Sqlite(tx) => sqlite::sent_channels(tx, order_id).await?,
        Transaction::Postgres(tx) => postgres::sent_channels(tx, order_id).await?,
    })
}

/// Where two have sent it all the same, the first mark stands.
pub(super) async fn mark_sent(database: &Database, message: &Confirmation<'_>) -> Result<(), DatabaseError> {
    let mut tx = database.begin().await?;
    match &mut tx {
        Transaction::Sqlite(tx) => sqlite::mark_sent(tx, message).await?,
        Transaction::Postgres(tx) => postgres::mark_sent(tx, message).await?,
    }
    tx.commit().await
}

/// Counts a message that was sent and not acknowledged, and answers how many these are.
pub(super) async fn add_doubt(database: &Database, message: &Confirmation<'_>) -> Result<i64, DatabaseError> {
    let mut tx = database.begin().await?;
    let times = match &mut tx {
        Transaction::Sqlite(tx) => sqlite::add_doubt(tx, message).await?,
        Transaction::Postgres(tx) => postgres::add_doubt(tx, message).await?,
    };
    tx.commit().await?;
    Ok(times)
}
