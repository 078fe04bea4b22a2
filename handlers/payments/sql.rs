//! The tables `wallets` and `payments`.

use crate::{
    database::{DatabaseError, Transaction},
    event::OrderCreated,
};

/// Opens the user's wallet, unless there is one.
pub(super) async fn open_wallet(
    tx: &mut Transaction,
    order: &OrderCreated,
    credit_cents: i64,
) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO wallets (user_id, currency, balance_cents) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO NOTHING",
    )
    .bind(&order.user_id)
    .bind(&order.currency)
    .bind(credit_cents)
    .execute(tx.connection())
    .await?;
    Ok(())
}

pub(super) async fn wallet_currency(
    tx: &mut Transaction,
    order: &OrderCreated,
) -> Result<String, DatabaseError> {
    let query = sqlx::query_scalar("SELECT currency FROM wallets WHERE user_id = $1").bind(&order.user_id);
    Ok(query.fetch_one(tx.connection()).await?)
}

/// False if the wallet holds less than the order costs.
pub(super) async fn deduct(tx: &mut Transaction, order: &OrderCreated) -> Result<bool, DatabaseError> {
    let deducted = sqlx::query(
        "UPDATE wallets SET balance_cents = balance_cents - $1 WHERE user_id = $2 AND balance_cents >= $1",
    )
    .bind(order.amount_cents)
    .bind(&order.user_id)
    .execute(tx.connection())
    .await?;
    Ok(deducted.rows_affected() == 1)
}

pub(super) async fn insert_payment(tx: &mut Transaction, order: &OrderCreated) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO payments (order_id, event_id, user_id, amount_cents, currency) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&order.order_id)
    .bind(&order.event_id)
    .bind(&order.user_id)
    .bind(order.amount_cents)
    .bind(&order.currency)
    .execute(tx.connection())
    .await?;
    Ok(())
}
