//! The orders in SQLite.

use sqlx::SqliteConnection;

use crate::event::OrderCreated;

pub(super) async fn insert_order(db: &mut SqliteConnection, order: &OrderCreated) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO orders (order_id, event_id, user_id, amount_cents, currency, email, phone, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&order.order_id)
    .bind(&order.event_id)
    .bind(&order.user_id)
    .bind(order.amount_cents)
    .bind(&order.currency)
    .bind(&order.email)
    .bind(&order.phone)
    .bind(order.created_at.to_string())
    .execute(&mut *db)
    .await?;
    for (line, item) in (1_i64..).zip(&order.items) {
        sqlx::query("INSERT INTO order_items (order_id, line, sku, quantity) VALUES ($1, $2, $3, $4)")
            .bind(&order.order_id)
            .bind(line)
            .bind(&item.sku)
            .bind(item.quantity)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}
