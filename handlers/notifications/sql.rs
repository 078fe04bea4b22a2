//! The table `notifications`: one row per order and channel, written after the acknowledgement.

use super::confirmation::Confirmation;
use crate::database::{Database, DatabaseError};

pub(super) async fn is_sent(database: &Database, message: &Confirmation<'_>) -> Result<bool, DatabaseError> {
    let query = sqlx::query("SELECT 1 FROM notifications WHERE order_id = $1 AND channel = $2")
        .bind(&message.order.order_id)
        .bind(message.channel.as_str());
    Ok(query.fetch_optional(database.pool()).await?.is_some())
}

/// Where two have sent it all the same, the first mark stands.
pub(super) async fn mark_sent(database: &Database, message: &Confirmation<'_>) -> Result<(), DatabaseError> {
    sqlx::query(
        "INSERT INTO notifications (order_id, channel, event_id, recipient, text) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (order_id, channel) DO NOTHING",
    )
    .bind(&message.order.order_id)
    .bind(message.channel.as_str())
    .bind(&message.order.event_id)
    .bind(message.recipient)
    .bind(message.to_string())
    .execute(database.pool())
    .await?;
    Ok(())
}
