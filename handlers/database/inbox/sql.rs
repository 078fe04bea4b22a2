//! The table `inbox`.

use std::time::Duration;

use super::{postgres, sqlite};
use crate::database::{DatabaseError, Transaction};

/// False if there is a mark already.
pub(super) async fn insert_mark(tx: &mut Transaction, key: &str) -> Result<bool, DatabaseError> {
    Ok(match tx {
        Transaction::Sqlite(tx) => sqlite::insert_mark(tx, key).await?,
        Transaction::Postgres(tx) => postgres::insert_mark(tx, key).await?,
    })
}

/// The mark, if there is one, and the events that were stored with it, if there were any.
pub(super) async fn find_mark(
    tx: &mut Transaction,
    key: &str,
) -> Result<Option<Option<String>>, DatabaseError> {
    Ok(match tx {
        Transaction::Sqlite(tx) => sqlite::find_mark(tx, key).await?,
        Transaction::Postgres(tx) => postgres::find_mark(tx, key).await?,
    })
}

pub(super) async fn store_events(tx: &mut Transaction, key: &str, events: &str) -> Result<(), DatabaseError> {
    match tx {
        Transaction::Sqlite(tx) => sqlite::store_events(tx, key, events).await?,
        Transaction::Postgres(tx) => postgres::store_events(tx, key, events).await?,
    }
    Ok(())
}

/// Removes up to `limit` marks, the oldest first, and answers how many.
pub(super) async fn prune(
    tx: &mut Transaction,
    older_than: Duration,
    limit: u32,
) -> Result<u64, DatabaseError> {
    // The widest that both can count back, 68 years.
    let seconds = i32::try_from(older_than.as_secs()).unwrap_or(i32::MAX);
    Ok(match tx {
        Transaction::Sqlite(tx) => sqlite::prune(tx, seconds, limit).await?,
        Transaction::Postgres(tx) => postgres::prune(tx, seconds, limit).await?,
    })
}
