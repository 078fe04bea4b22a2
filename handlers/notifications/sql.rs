//! The table `notifications`.

use super::receipt::Receipt;
use crate::database::{DatabaseError, Transaction};

pub(super) async fn insert_receipts(
    tx: &mut Transaction,
    receipts: &[Receipt<'_>],
) -> Result<(), DatabaseError> {
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
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}
