//! The orders in PostgreSQL.

use sqlx::PgConnection;

use crate::event::OrderCreated;

pub(super) async fn insert_order(db: &mut PgConnection, order: &OrderCreated) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO orders (order_id, event_id, user_id, amount_cents, currency, email, phone, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::timestamptz)",
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
    let skus: Vec<&str> = order.items.iter().map(|item| item.sku.as_str()).collect();
    let quantities: Vec<i64> = order.items.iter().map(|item| item.quantity.into()).collect();
    sqlx::query(
        "INSERT INTO order_items (order_id, line, sku, quantity)
         SELECT $1, line, sku, quantity
         FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS items (sku, quantity, line)",
    )
    .bind(&order.order_id)
    .bind(skus)
    .bind(quantities)
    .execute(&mut *db)
    .await?;
    Ok(())
}
