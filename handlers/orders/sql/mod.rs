//! The tables `orders` and `order_items`.

mod postgres;
mod sqlite;

use crate::{
    database::{DatabaseError, Transaction},
    event::OrderCreated,
};

pub(super) async fn insert_order(tx: &mut Transaction, order: &OrderCreated) -> Result<(), DatabaseError> {
    match tx {
        Transaction::Sqlite(tx) => sqlite::insert_order(tx, order).await?,
        Transaction::Postgres(tx) => postgres::insert_order(tx, order).await?,
    }
    Ok(())
}
