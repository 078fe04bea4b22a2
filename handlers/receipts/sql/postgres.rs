//! The receipts in PostgreSQL.

use sqlx::PgConnection;

use crate::event::PaymentSettled;

pub(super) async fn insert_receipt(
    db: &mut PgConnection,
    payment: &PaymentSettled,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO receipts (order_id, user_id, amount_cents, currency, email, settled_at)
         VALUES ($1, $2, $3, $4, $5, $6::timestamptz)",
    )
    .bind(&payment.order_id)
    .bind(&payment.user_id)
    .bind(payment.amount_cents)
    .bind(&payment.currency)
    .bind(&payment.email)
    .bind(payment.settled_at.to_string())
    .execute(db)
    .await?;
    Ok(())
}
