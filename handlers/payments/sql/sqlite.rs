//! The wallets and payments in SQLite.

use sqlx::SqliteConnection;

use crate::event::OrderCreated;

pub(super) async fn open_wallet(
    db: &mut SqliteConnection,
    order: &OrderCreated,
    credit_cents: i64,
) -> Result<String, sqlx::Error> {
    sqlx::query(
        "INSERT INTO wallets (user_id, currency, balance_cents) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO NOTHING",
    )
    .bind(&order.user_id)
    .bind(&order.currency)
    .bind(credit_cents)
    .execute(&mut *db)
    .await?;
    sqlx::query_scalar("SELECT currency FROM wallets WHERE user_id = $1")
        .bind(&order.user_id)
        .fetch_one(&mut *db)
        .await
}

pub(super) async fn deduct(db: &mut SqliteConnection, order: &OrderCreated) -> Result<bool, sqlx::Error> {
    let deducted = sqlx::query(
        "UPDATE wallets SET balance_cents = balance_cents - $1 WHERE user_id = $2 AND balance_cents >= $1",
    )
    .bind(order.amount_cents)
    .bind(&order.user_id)
    .execute(&mut *db)
    .await?;
    Ok(deducted.rows_affected() == 1)
}

pub(super) async fn insert_payment(
    db: &mut SqliteConnection,
    order: &OrderCreated,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO payments (order_id, event_id, user_id, amount_cents, currency) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(&order.order_id)
    .bind(&order.event_id)
    .bind(&order.user_id)
    .bind(order.amount_cents)
    .bind(&order.currency)
    .execute(&mut *db)
    .await?;
    Ok(())
}
