//! The confirmations in PostgreSQL.

use sqlx::PgConnection;

use crate::notifications::receipt::Receipt;

pub(super) async fn insert_receipts(
    db: &mut PgConnection,
    receipts: &[Receipt<'_>],
) -> Result<(), sqlx::Error> {
    for receipt in receipts {
        sqlx::query(
            "INSERT INTO notifications (event_id, channel, order_id, recipient, text)
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&receipt.order.event_id)
        .bind(receipt.channel)
        .bind(&receipt.order.order_id)
        .bind(receipt.recipient)
        .bind(&receipt.text)
        .execute(&mut *db)
        .await?;
    }
    Ok(())
}
